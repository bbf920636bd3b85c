"""Score predictions without a model: an all-background mask, the most frequent activity, and that of frames with the same instruments."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pandas as pd

from pipeline.datasets.kinds import GENERALISATION
from pipeline.datasets.load import load_split
from pipeline.datasets.manifest import read_manifest
from pipeline.evaluation.measure import measure
from pipeline.io.files import whole_file
from pipeline.results.paths import reference_files
from pipeline.study.datasets import labels_of
from pipeline.study.folders import dataset_folder
from pipeline.study.models import Study


def score_references(study: Study, dataset: str) -> None:
    """Write references/<dataset>/<reference>.parquet: the rows of each reference prediction on the test split of the dataset."""
    rows = rows_of_references(study, dataset)
    for name, path in reference_files(study, dataset).items():
        with whole_file(path) as partial:
            rows[name].to_parquet(partial, index=False)


def rows_of_references(study: Study, dataset: str) -> dict[str, pd.DataFrame]:
    """Return the rows of each reference prediction, one row per image, by the name of the reference.

    The most frequent activities are counted in the training split of the dataset, or of the base dataset in a test of generalisation.
    """
    labels = labels_of(study, dataset)
    split = load_split(dataset_folder(study, dataset), "test", study.input_size)
    predictions: dict[str, tuple[np.ndarray | None, np.ndarray | None]] = {
        "all_background": (None, np.zeros_like(split.masks))
    }
    if labels.activities:
        manifest = read_manifest(dataset_folder(study, GENERALISATION.get(dataset, dataset)))
        training = [row for row in manifest if row["split"] == "train"]
        by_instruments: dict[frozenset[str], Counter[str]] = defaultdict(Counter)
        for row in training:
            by_instruments[_instruments(row)][row["activity"]] += 1
        majority = Counter(row["activity"] for row in training).most_common(1)[0][0]
        tests = [row for row in read_manifest(dataset_folder(study, dataset)) if row["split"] == "test"]
        counts = [by_instruments[_instruments(row)].most_common(1) or [(majority, 0)] for row in tests]
        index = {name: position for position, name in enumerate(labels.activities)}
        predictions["majority_activity"] = (np.full(len(tests), index[majority]), None)
        predictions["activity_from_instruments"] = (
            np.array([index[most_common[0][0]] for most_common in counts]),
            None,
        )
    return {name: measure(split, split.masks, labels, *prediction) for name, prediction in predictions.items()}


def _instruments(row: dict[str, str]) -> frozenset[str]:
    return frozenset(filter(None, row["instruments"].split(";")))
