"""Reads the card of a dataset, and adds the title that the study gives the dataset."""

from __future__ import annotations

from typing import Any

from pipeline.datasets.card import read_card
from pipeline.study.datasets import titles_of
from pipeline.study.folders import dataset_folder
from pipeline.study.models import Study


def card_of(study: Study, dataset: str) -> dict[str, Any]:
    """Return the card of a built dataset with its title. The card does not store the title, so a new title rebuilds nothing.

    Raises:
        InputError: if the dataset is not built.
    """
    return {**read_card(dataset_folder(study, dataset)), "title": titles_of(study)[dataset]}
