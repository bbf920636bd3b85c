"""Score a trained cell on its datasets, from its kept predictions. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from endoarss.metrics import STANDARD
from pipeline.datasets.load import load_part
from pipeline.files import sha256_of, whole_file, write_json
from pipeline.layout import metrics_file, predictions_file, rows_file
from pipeline.measure import Measured, measure
from pipeline.predictions import read_predictions
from pipeline.study import Cell, Study


def evaluate_cell(study: Study, cell: Cell) -> None:
    """Write eval/<dataset>/{metrics.json,per_image.parquet} of a trained cell, and metrics.json of all its datasets.

    Raises:
        InputError: if a dataset is not built, or predictions are missing.
    """
    whole = {}
    for dataset in study.evaluated_on(cell.dataset):
        measured = measure_kept(study, cell, dataset)
        path = rows_file(study, cell, dataset)
        with whole_file(path) as partial:
            measured.per_image.to_parquet(partial, index=False)
        scored = {"predictions_sha256": sha256_of(predictions_file(study, cell, dataset)), "protocol": STANDARD}
        write_json(path.with_name("metrics.json"), {**scored, "scores": measured.scores})
        whole[dataset] = scores_of_whole(measured.scores)
    write_json(metrics_file(study, cell), whole)


def measure_kept(study: Study, cell: Cell, dataset: str) -> Measured:
    """Measure a trained cell's kept predictions on a dataset's test part.

    Raises:
        InputError: as `evaluate_cell`.
    """
    part = load_part(study.dataset_folder(dataset), "test", study.settings["input_size"])
    kept = read_predictions(predictions_file(study, cell, dataset), part.frame_ids)
    return measure(part, part.masks, study.labels(dataset), kept.activity, kept.masks, kept.confidence)


def scores_of_whole(scores: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Those of all classes together, by metric."""
    return {score["metric"]: score["value"] for score in scores if not score["class"]}
