"""Evaluates the robustness of cells or of an external model: what the command `endoarss robustness` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import InputError
from pipeline.evaluation.evaluate_robustness import evaluate_robustness_of
from pipeline.evaluation.external_model import ExternalModelRun
from pipeline.study.datasets import known_dataset
from pipeline.study.models import Study


def evaluate_any_model(
    study: Study,
    cells: Sequence[str],
    predictor: str | None,
    predictions: Path | None,
    dataset: str | None,
    label: str | None,
    out: Path | None,
    beside: bool,
    workers: int,
) -> str:
    """Evaluate the robustness of cells or of an external model. Exactly one of `cells`, `predictor` and `predictions` is given.

    Args:
        study: The study, which defines the corruptions.
        cells: Ids of cells.
        predictor: The predictor, as in `evaluate_predictor`.
        predictions: The predictions, as in `evaluate_predictions`.
        dataset: The test dataset of an external model; None for the first dataset of the study.
        label: The label of an external model, as in `ExternalModelRun`; not allowed for cells.
        out: The output folder of an external model, as in `ExternalModelRun`; not allowed for cells.
        beside: Whether to compare an external model with the cells whose robustness is evaluated; not allowed for cells.
        workers: Number of processes in addition to this one.

    Returns:
        A sentence that says where the results of an external model are; "" for cells.

    Raises:
        InputError: If arguments contradict each other, or the model does not fit the study.
    """
    if "robustness" not in study.as_dict():
        raise InputError(
            f"study {study.name!r} has no key robustness, which states the corruptions and severities. Add it."
        )
    if cells:
        given = {"dataset": dataset, "label": label, "out": out, "beside": beside}
        for key in (key for key, value in given.items() if value):
            raise InputError(f"--{key}: this option is only for --predictor and --predictions, not for cells.")
        evaluate_robustness_of(study, cells, workers)
        return ""
    run = ExternalModelRun(
        study, known_dataset(study, dataset or next(iter(study.datasets))), label, out, workers, beside
    )
    # Only external models are reported here. The modules of reports, with seaborn, take a second to import.
    from pipeline.reporting.external_model import evaluate_external_model

    return evaluate_external_model(run, predictor, predictions)
