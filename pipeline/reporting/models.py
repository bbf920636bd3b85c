"""The models of a study as reports see them: kept rows of every cell, those together that differ by seed alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from endoarss.metrics.catalogue import ACCURACY, MIOU
from pipeline.io.saved_files import read_history
from pipeline.results.cell_state import missing_cells, missing_robustness
from pipeline.results.paths import history_file
from pipeline.results.rows import clean_rows, frames_tested, robust_rows
from pipeline.study.cell import Cell
from pipeline.study.study import Study
from reports.names import model_label
from reports.statistics.bootstrap import REPLICATES, Array, draw_weights
from reports.statistics.claims import Model
from reports.statistics.comparison import replicate_mpc, replicate_scores
from reports.statistics.condition_scores import EvaluatedModel

CLEAN_ROWS = {"corruption": "", "severity": 0, "mask_warped": True}


def label_of(study: Study, cell: Cell) -> str:
    """What readers call a cell's model; its rank where that is not the study's."""
    label = model_label(study.settings["backbones"][cell.backbone]["label"], cell.architecture, cell.weighting)
    return label if cell.rank == study.rank else f"{label}, rank {cell.rank}"


def model_of(cell: Cell) -> Model:
    """A cell without its dataset and seed."""
    return Model(cell.backbone, cell.architecture, cell.weighting, cell.rank)


def clean_models(study: Study, dataset: str) -> dict[Model, EvaluatedModel]:
    """The models tested on a dataset, without those that have no results.

    Raises:
        InputError: naming a file whose rows are not what a cell leaves.
    """
    frames = frames_tested(study, dataset)
    cells = [cell for cell in study.cells() if dataset in study.evaluated_on(cell.dataset)]
    return {
        model: EvaluatedModel(
            label_of(study, seeds[0]),
            study.titles()[dataset],
            [clean_rows(study, cell, dataset, frames).assign(**CLEAN_ROWS) for cell in seeds],
        )
        for model, seeds in _by_model(cells, missing_cells(study)).items()
    }


def robust_models(study: Study, dataset: str) -> dict[Model, EvaluatedModel]:
    """The models of a dataset whose robustness is evaluated.

    Raises:
        InputError: as `clean_models`.
    """
    frames = frames_tested(study, dataset)
    cells = [cell for cell in study.robustness_cells() if cell.dataset == dataset]
    return {
        model: EvaluatedModel(
            label_of(study, seeds[0]),
            study.titles()[dataset],
            [robust_rows(study, cell, frames) for cell in seeds],
        )
        for model, seeds in _by_model(cells, missing_robustness(study)).items()
    }


def scores_for_claims(study: Study, dataset: str) -> tuple[dict[Model, dict[str, Array]], str, int]:
    """Return what `reports.statistics.claims` weighs of a dataset, in every replicate, what a replicate draws, and how many there are."""
    models = clean_models(study, dataset)
    if not models:
        return {}, "", 0
    found = replicate_scores(list(models.values()))
    scores = {model: dict(found.scores[named.label]) for model, named in models.items()}
    robust = robust_models(study, dataset)
    if robust:
        means = replicate_mpc(list(robust.values()))
        for model, named in robust.items():
            scores[model] |= {f"mPC {metric}": values for metric, values in means.scores[named.label].items()}
    cells = [cell for cell in study.cells() if cell.dataset == dataset]
    for model, seeds in _by_model(cells, missing_cells(study)).items():
        cosines = [_cosine(read_history(history_file(study, cell))) for cell in seeds]
        known = [one for one in cosines if one is not None]
        if known:
            scores[model]["cosine"] = np.mean(known, axis=0)
    return scores, found.units, found.count


def asked_for_claims(study: Study, dataset: str) -> dict[Model, dict[str, Array]]:
    """What `scores_for_claims` has of a study without gaps, zeros for scores."""
    nothing = np.zeros(1)
    found: dict[Model, dict[str, Array]] = {}
    for cell in study.cells():
        if dataset not in study.evaluated_on(cell.dataset):
            continue
        scores = found.setdefault(model_of(cell), {})
        tells, segments = cell.architecture != "single_segmentation", cell.architecture != "single_activity"
        own = (
            ([ACCURACY] if tells and study.labels(dataset).activities else [])
            + ([MIOU] if segments else [])
            + (["cosine"] if tells and segments and cell.dataset == dataset else [])
        )
        scores |= dict.fromkeys(own, nothing)
        if cell in study.robustness_cells() and cell.dataset == dataset:
            scores |= {f"mPC {metric}": nothing for metric in own if metric != "cosine"}
    return found


def _cosine(history: pd.DataFrame) -> Array | None:
    """The mean cosine between the tasks' gradients over epochs, in every replicate of them; None of a single task."""
    column = next((name for name in history if str(name).startswith("cosine_")), None)
    values = history[column].dropna().to_numpy(np.float64) if column is not None else np.empty(0)
    if not len(values):
        return None
    weights = draw_weights(len(values), REPLICATES, seed=0)
    return weights @ values / len(values)


def _by_model(cells: Sequence[Cell], missing: Mapping[Cell, str]) -> dict[Model, list[Cell]]:
    found: dict[Model, list[Cell]] = {}
    for cell in cells:
        if cell not in missing:
            found.setdefault(model_of(cell), []).append(cell)
    return found
