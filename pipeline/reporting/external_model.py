"""Evaluates an external model, and makes its tables, figures and page, with or without the models of a study."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import InputError
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
from pipeline.study.datasets import titles_of
from reports.page import Facts
from reports.statistics.robustness import EvaluatedModel


def evaluate_external_model(run: ExternalModelRun, predictor: str | None, predictions: Path | None) -> str:
    """Evaluate the robustness of an external model, and write its report. Exactly one of `predictor` and `predictions` is given.

    Args:
        run: The run.
        predictor: The predictor, as in `evaluate_predictor`.
        predictions: The predictions, as in `evaluate_predictions`.

    Returns:
        A sentence that says where the results are.

    Raises:
        InputError: If the model does not fit the study, or the run asks for a comparison and no cell is evaluated.
    """
    compared = compared_models(run)
    if predictor is not None:
        folder = evaluate_predictor(run, predictor)
    else:
        assert predictions is not None, "the command line gives exactly one of the two"
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
        trained=0,
        resolution=run.study.input_size,
        synthetic=run.study.synthetic,
        caption=caption,
        partial=partial_note(run.study, [run.dataset]),
    )
    write_robustness_page(robustness, folder, facts)
