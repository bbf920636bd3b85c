"""Evaluates an external model, and makes its tables, figures and page, with or without the models of a study."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import InputError
from pipeline.evaluation.evaluate_robustness import evaluate_robustness_of
from pipeline.evaluation.external_model import ExternalModelRun, evaluate_predictions, evaluate_predictor
from pipeline.io.files import read_json
from pipeline.io.saved_files import read_table
from pipeline.reporting.captions import data_caption, partial_note
from pipeline.reporting.robustness import (
    baselines_of,
    evaluated_models,
    measure_models,
    write_robustness_report,
)
from pipeline.reporting.robustness_page import PAGE, write_robustness_page
from pipeline.results.paths import CellOutput, RobustnessFiles
from pipeline.results.study_results import StudyResults
from pipeline.study.datasets import known_dataset, titles_of
from pipeline.study.models import Study
from reports.page import Facts
from reports.statistics.robustness import EvaluatedModel


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
    compared = compared_models(run)
    if predictor is not None:
        folder = evaluate_predictor(run, predictor)
    else:
        assert predictions is not None, "the command line gives exactly one of the three"
        folder = evaluate_predictions(run, predictions)
    report_external_model(run, folder, compared)
    return f"{folder}: scores, tables and figures. The page that shows them: {folder / PAGE}"


def compared_models(run: ExternalModelRun) -> list[EvaluatedModel]:
    """Return the study's models that the external model is compared with, or no models if the run does not ask for a comparison.

    Raises:
        InputError: If the run asks for a comparison and no cell is evaluated.
    """
    results = StudyResults(run.study)
    models = evaluated_models(results, [run.dataset]) if run.with_cells else []
    if run.with_cells and not models:
        missing = [cell.id for cell in results.missing_robustness if cell.dataset == run.dataset]
        raise InputError(
            f"--beside: no cell of {run.dataset} has its robustness evaluated; missing: "
            f"{', '.join(missing) or 'the study asks for none'}. "
            "Evaluate cells with `endoarss robustness --cell ID` or snakemake, or leave --beside out."
        )
    return models


def report_external_model(run: ExternalModelRun, folder: Path, compared: Sequence[EvaluatedModel]) -> None:
    """Write tables, figures and the page of an evaluation.

    Args:
        run: The evaluated run.
        folder: The folder that `evaluate_predictor` or `evaluate_predictions` returned.
        compared: The models that `compared_models` returned.
    """
    files = RobustnessFiles.below(folder / CellOutput.ROBUSTNESS)
    rows, label = read_table(files.rows), read_json(files.provenance)["label"]
    caption = data_caption(run.study, [run.dataset])
    robustness = measure_models(
        run.study,
        [*compared, EvaluatedModel(label, titles_of(run.study)[run.dataset], [rows])],
        baselines_of(StudyResults(run.study)) if compared else {},
        trained=bool(compared),
    )
    write_robustness_report(robustness, folder, caption, {"study": run.study.name, "synthetic": run.study.synthetic})
    facts = Facts(
        title=f"Robustness of {label} on {titles_of(run.study)[run.dataset]}",
        study=run.study.name,
        protocol="standard",
        seeds=(),
        cells=0,
        resolution=run.study.input_size,
        synthetic=run.study.synthetic,
        caption=caption,
        partial=partial_note(run.study, [run.dataset]),
    )
    write_robustness_page(robustness, folder, facts)
