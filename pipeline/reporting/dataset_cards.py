"""What reports say of a dataset: its card, with the title that the study gives it."""

from __future__ import annotations

from typing import Any

from pipeline.datasets.card import read_card
from pipeline.study.datasets import titles_of
from pipeline.study.folders import dataset_folder
from pipeline.study.models import Study


def card_of(study: Study, dataset: str) -> dict[str, Any]:
    """Return a built dataset's card and its title, which is no part of the dataset: another title builds nothing again.

    Raises:
        InputError: if the dataset is not built.
    """
    return {**read_card(dataset_folder(study, dataset)), "title": titles_of(study)[dataset]}
