"""Gathers the models of a study for reports. A model has the saved rows of the cells that differ only in their seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from tqdm import tqdm

from corruptions.catalogue import known_corruptions
from endoarss.metrics.catalogue import ACCURACY, MAIN, MIOU, Shown, metrics_by_name, shown_metrics
from pipeline.io.saved_files import read_history
from pipeline.results.paths import evaluated_datasets, history_file
from pipeline.results.study_results import StudyResults
from pipeline.study.cell import Cell
from pipeline.study.cells import cells_of
from pipeline.study.datasets import evaluated_on, labels_of, titles_of
from pipeline.study.labels import model_labels
from pipeline.study.models import Study
from pipeline.study.paper_cells import PaperNames
from pipeline.study.robust_models import robustness_cells
from reports.names import merged_label
from reports.statistics.claim_scores import COSINE, MPC, Model, Score, cosine_scores, scores_of
from reports.statistics.comparison import VariedScores, vary_mpc, vary_scores
from reports.statistics.condition_scores import EvaluatedModel, ScoredRun, score_run
from reports.statistics.variation import Variation, say_intervals

# Columns that rows of clean images lack.
CLEAN_ROWS = {"corruption": "", "severity": 0, "mask_warped": True}


def model_name(study: Study, cell: Cell) -> str:
    """Return the label of a cell's model without its backbone."""
    return model_labels(study).model("", cell.architecture, cell.weighting)


def rows_of_cell(table: pd.DataFrame, cell: Cell) -> pd.DataFrame:
    """Return the rows of a cell in the long table."""
    columns = {name: getattr(cell, name) for name in ("dataset", "backbone", "architecture", "merger", "variant")}
    columns["weighting"] = "" if cell.merger else cell.weighting
    return table[np.logical_and.reduce([table[column] == value for column, value in columns.items()])]


def label_of(study: Study, cell: Cell) -> str:
    """Return the label of a cell's model, with its rank if the study has another rank."""
    label = model_labels(study).model(cell.backbone, cell.architecture, cell.weighting)
    return label if cell.rank == study.lora.rank else f"{label}, rank {cell.rank}"


def named(study: Study, cell: Cell) -> str:
    """Return the label of a trained or merged model with its dataset, such as "ResNet-18 MMoE DB-MTL on MTLESD".

    The seed follows if the study has several, and the choice of the epoch if it is not that of the study: two cells may differ only there.
    """
    merged = f"{model_labels(study).backbone(cell.backbone)} {merged_label(cell.merger, cell.surgery)}"
    seed = f" (seed {cell.seed})" if len(study.seeds) > 1 else ""
    epoch = f", {_EPOCHS[cell.select_on]}" if cell.select_on != study.training.select_on else ""
    return f"{merged if cell.merger else label_of(study, cell)} on {titles_of(study)[cell.dataset]}{seed}{epoch}"


_EPOCHS = {"last": "last epoch", "val": "epoch chosen on validation frames", "test": "epoch chosen on test frames"}


def model_of(names: PaperNames, cell: Cell) -> Model:
    """Return a cell's model, which has no dataset and no seed. Its names are the paper's where the paper has a name."""
    return Model(*names.of(cell), cell.rank)


def clean_models(results: StudyResults, dataset: str) -> dict[Model, EvaluatedModel]:
    """Return the models with results on a dataset.

    Raises:
        InputError: If a file does not have the rows of a cell. The message names the file.
    """
    cells = (cell for cell in results.present_cells if dataset in evaluated_on(results.study, cell.dataset))
    runs = {cell: results.clean_rows(cell, dataset).assign(**CLEAN_ROWS) for cell in cells}
    return _models(results.study, dataset, runs)


def varied_scores(results: StudyResults, dataset: str) -> VariedScores | None:
    """Return the scores of `clean_models` with their variation over sequences and trainings, or None if there are no models."""
    models = list(results.once(clean_models, dataset).values())
    return vary_scores(models) if models else None


def notes_of_intervals(results: StudyResults) -> str:
    """Return a text that says what the intervals of clean scores are computed over, in all datasets with results."""
    titles = titles_of(results.study)
    varied = {titles[dataset]: results.once(varied_scores, dataset) for dataset in evaluated_datasets(results.study)}
    return say_intervals(scores.note(title) for title, scores in varied.items() if scores is not None)


def robust_models(results: StudyResults, dataset: str) -> dict[Model, EvaluatedModel]:
    """Return the models of a dataset whose robustness is evaluated.

    Raises:
        InputError: as `clean_models`.
    """
    cells = (cell for cell in robustness_cells(results.study) if cell not in results.missing_robustness)
    shown = tqdm(
        [cell for cell in cells if cell.dataset == dataset], desc=f"robustness on {dataset}", unit="model", delay=2.0
    )
    runs = {cell: results.reduced(cell, scored_run) for cell in shown}
    return _models(results.study, dataset, runs)


def _models(study: Study, dataset: str, runs: Mapping[Cell, pd.DataFrame | ScoredRun]) -> dict[Model, EvaluatedModel]:
    return {
        model: EvaluatedModel(label_of(study, seeds[0]), titles_of(study)[dataset], [runs[cell] for cell in seeds])
        for model, seeds in seeds_by_model(study, runs).items()
    }


def scored_run(results: StudyResults, cell: Cell, rows: pd.DataFrame) -> ScoredRun:
    """Return the scores of a cell under each condition, and again without each sequence. This function is a `Reduction`.

    The scores are those that tables show. Models that are only compared in merging get the main scores alone.
    """
    all_shown = shown_metrics(Shown.CONDITIONS | Shown.SUMMARY)
    main = {name: metric for name, metric in metrics_by_name().items() if name in MAIN}
    model = EvaluatedModel(label_of(results.study, cell), titles_of(results.study)[cell.dataset], [rows])
    return score_run(model, known_corruptions(), all_shown if cell in robustness_cells(results.study) else main)


def scores_for_claims(results: StudyResults, dataset: str) -> tuple[dict[Model, dict[str, Score]], VariedScores | None]:
    """Return the scores of a dataset's models that `reports.statistics.claims` needs, and the clean scores with their variation.

    Without models, there are no scores, and the clean scores are None.
    """
    clean = results.once(varied_scores, dataset)
    if clean is None:
        return {}, None
    models, robust = results.once(clean_models, dataset), results.once(robust_models, dataset)
    scores = {model: scores_of(clean, evaluated.label) for model, evaluated in models.items()}
    if robust:
        means = vary_mpc(list(robust.values()))
        for model, evaluated in robust.items():
            scores[model] |= scores_of(means, evaluated.label, MPC)
    for model, cosine in cosine_scores(_cosines(results, dataset)).items():
        scores[model][COSINE] = cosine
    return scores, clean


def _cosines(results: StudyResults, dataset: str) -> dict[Model, list[float]]:
    """Return the mean cosine between the tasks' gradients in each training, for each model that solves both tasks."""
    by_model = {}
    cells = [cell for cell in results.present_cells if cell.dataset == dataset]
    for model, seeds in seeds_by_model(results.study, cells).items():
        cosines = [_cosine(read_history(history_file(results.study, cell))) for cell in seeds]
        by_model[model] = [cosine for cosine in cosines if not np.isnan(cosine)]
    return {model: cosines for model, cosines in by_model.items() if cosines}


def asked_for_claims(study: Study, dataset: str) -> dict[Model, dict[str, Score]]:
    """Return the scores that `scores_for_claims` returns if all cells have results. Their values are zeros."""
    zero = Score(np.zeros(1), Variation(), 0)
    found: dict[Model, dict[str, Score]] = {}
    names = PaperNames(study)
    for cell in cells_of(study):
        if dataset not in evaluated_on(study, cell.dataset):
            continue
        scores = found.setdefault(model_of(names, cell), {})
        classifies, segments = cell.architecture != "single_segmentation", cell.architecture != "single_activity"
        metrics = (
            ([ACCURACY] if classifies and labels_of(study, dataset).activities else [])
            + ([MIOU] if segments else [])
            + ([COSINE] if classifies and segments and cell.dataset == dataset else [])
        )
        scores |= dict.fromkeys(metrics, zero)
        if cell in robustness_cells(study) and cell.dataset == dataset:
            scores |= {f"{MPC}{metric}": zero for metric in metrics if metric != COSINE}
    return found


def _cosine(history: pd.DataFrame) -> float:
    """Return the mean cosine between the tasks' gradients over epochs, or NaN for a single task."""
    column = next((name for name in history if str(name).startswith("cosine_")), None)
    return float(history[column].mean()) if column is not None else float("nan")


def seeds_by_model(study: Study, cells: Iterable[Cell]) -> dict[Model, list[Cell]]:
    """Return cells of one dataset by model. The cells of a model differ only in their seed."""
    names, by_model = PaperNames(study), dict[Model, list[Cell]]()
    for cell in cells:
        by_model.setdefault(model_of(names, cell), []).append(cell)
    return by_model
