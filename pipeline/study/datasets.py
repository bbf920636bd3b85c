"""Return kinds, labels and splits of a study's datasets, and the settings that decide their content."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from endoarss.errors import suggestion
from pipeline.datasets.kinds import (
    BY_SEQUENCE,
    GENERALISATION,
    KINDS,
    PLAIN,
    PLAIN_RECIPES,
    RANDOM_BY_ACTIVITY,
    TEST_SEQUENCES,
    Kind,
    Recipe,
)
from pipeline.errors import InputError
from pipeline.labels.classes import LabelSet, plain_labels, stored_values
from pipeline.study.models import Study


@dataclass(frozen=True)
class DatasetBuild:
    """How a dataset is built.

    Attributes:
        split: rule that divides the frames into splits.
        split_seed: seed of a random split.
        test: names of the test sequences.
        named: whether the study itself names the test sequences.
        skip_bad: whether unreadable frames are left out.
        scheme: palette of the EndoVis 2018 masks.
    """

    split: str
    split_seed: int
    test: tuple[str, ...]
    named: bool
    skip_bad: bool
    scheme: str


def known_dataset(study: Study, name: str) -> str:
    """Return a name if the study has a dataset of this name.

    Raises:
        InputError: if it has none; the message lists its datasets.
    """
    if name not in study.datasets:
        close = suggestion(name, study.datasets)
        raise InputError(
            f"study {study.name!r} has no dataset {name!r}.{close} Its datasets: {', '.join(study.datasets)}."
        )
    return name


def kind_name(study: Study, dataset: str) -> str:
    """Return the known kind of a dataset, or "plain" for the user's own frames."""
    settings = study.datasets[dataset]
    return PLAIN if settings.plain else settings.kind or dataset


def kind_of(study: Study, dataset: str) -> Kind:
    """Return the kind of a dataset: one of `KINDS`, or, for the user's own frames, one that the study describes."""
    settings = study.datasets[dataset]
    if settings.plain:
        plain = settings.plain.as_dict()
        stored = stored_values(
            f"datasets.{dataset}.{PLAIN}", plain["classes"], plain.get("values"), plain.get("ignore")
        )
        labels = replace(plain_labels(plain["classes"], plain["activities"]), stored=stored)
        return Kind(settings.title or dataset, labels, PLAIN_RECIPES)
    kind = KINDS[settings.kind or dataset]
    default = kind.title if dataset in KINDS else f"{kind.title}, {split_rule(study, dataset).replace('_', ' ')}"
    return replace(kind, title=settings.title or default)


def labels_of(study: Study, dataset: str) -> LabelSet:
    """Return classes and activities of a dataset."""
    return kind_of(study, dataset).labels


def titles_of(study: Study) -> dict[str, str]:
    """Return the title of each dataset in tables and figures."""
    return {dataset: kind_of(study, dataset).title for dataset in study.datasets}


def split_rule(study: Study, dataset: str) -> str:
    """Return the rule that splits a dataset: that of the study, or the first rule of the kind."""
    recipes = PLAIN_RECIPES if study.datasets[dataset].plain else KINDS[kind_name(study, dataset)].recipes
    return study.datasets[dataset].split or next(iter(recipes))


def recipe_of(study: Study, dataset: str) -> Recipe:
    """Return the recipe of a dataset: which function collects its frames from which raw trees."""
    return kind_of(study, dataset).recipes[split_rule(study, dataset)]


def evaluated_on(study: Study, dataset: str) -> tuple[str, ...]:
    """Return the datasets that cells trained on `dataset` are tested on: `dataset` itself, and those that test generalisation."""
    others = (other for other, base in GENERALISATION.items() if base == dataset and other in study.datasets)
    return (dataset, *others)


def leakage_datasets(study: Study) -> tuple[str, ...]:
    """Return the datasets with a random split whose sequences are known. For these, leakage between the splits is measured."""
    return tuple(
        dataset
        for dataset in study.datasets
        if split_rule(study, dataset) == RANDOM_BY_ACTIVITY and kind_name(study, dataset) in TEST_SEQUENCES
    )


def build_of(study: Study, dataset: str) -> DatasetBuild:
    """Return how a dataset is built."""
    settings, split = study.datasets[dataset], split_rule(study, dataset)
    default = TEST_SEQUENCES.get(settings.kind or dataset, ()) if split == BY_SEQUENCE and not settings.plain else ()
    return DatasetBuild(
        split,
        settings.split_seed,
        test=settings.test or default,
        named=bool(settings.test),
        skip_bad=settings.skip_bad,
        scheme=study.raw.endovis2018_scheme,
    )


def columns_of(study: Study, dataset: str) -> dict[str, str]:
    """Return the CSV's name of each column by its default name, for the user's own frames; empty if the defaults are used."""
    plain = study.datasets[dataset].plain
    return plain.columns.as_dict() if plain and plain.columns else {}


def dataset_settings(study: Study, dataset: str) -> dict[str, Any]:
    """Return the settings that decide the content of a built dataset, besides raw trees and code."""
    build = {key: value for key, value in asdict(build_of(study, dataset)).items() if key != "named"}
    generate = study.raw.generate.as_dict() if study.raw.generate else None
    settings = {key: value for key, value in study.datasets[dataset].as_dict().items() if key != "title"}
    return {**settings, **build, "test": list(build["test"]), "name": dataset, "generate": generate}
