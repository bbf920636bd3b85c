"""Figures of a study, from its kept results: no model runs for them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.errors import InputError
from pipeline.files import whole_file
from pipeline.layout import evaluated_datasets, history_figures, history_file, result_figures
from pipeline.provenance import read_provenance
from pipeline.steps.figure_inputs import Kept, NothingToShow
from pipeline.steps.make_class_figures import draw_classes, draw_confusion
from pipeline.steps.make_mask_figures import draw_best, draw_tasks
from pipeline.steps.report_robustness import robustness_drawers
from pipeline.study import Study
from reports import cost_figure
from reports.history_figures import TrainingHistory, draw_histories
from reports.names import (
    FIGURE_COST,
    FIGURE_HEATMAP,
    FIGURE_RETENTION,
    FIGURE_SEGMENTATION,
    FIGURE_SEVERITY,
    FIGURE_TASKS,
    figure_of_classes,
    figure_of_confusion,
    figure_of_history,
    figure_title,
)
from reports.style import draw_message

Draw = Callable[[Kept, Path, Path], None]


def make_figures(study: Study, only: str = "") -> list[Path]:
    """Write all figures of a study's results, or one of them.

    Args:
        only: its name, "" for all.

    Returns:
        The files.

    Raises:
        InputError: if the study has no such figure, or rows are not what a cell leaves.
        ResultsError: if the results are not collected.
    """
    files = result_figures(study)
    if only and only not in files:
        raise InputError(f"study {study.name!r} has no figure {only!r} of results; it has {', '.join(files)}.")
    kept, draw = Kept(study), _drawers(study)
    for name in [only] if only else files:
        png_file, pdf_file = files[name]
        with whole_file(png_file) as png, whole_file(pdf_file) as pdf:
            try:
                draw[name](kept, png, pdf)
            except NothingToShow as reason:
                draw_message(". ".join(figure_title(name, study.titles())), str(reason), kept.mark, png, pdf)
    return [path for name, paths in files.items() if only in ("", name) for path in paths]


def _drawers(study: Study) -> dict[str, Draw]:
    """What draws each figure."""
    found: dict[str, Draw] = {FIGURE_TASKS: draw_tasks, FIGURE_SEGMENTATION: draw_best, FIGURE_COST: draw_costs}
    for name in (FIGURE_SEVERITY, FIGURE_RETENTION, FIGURE_HEATMAP):
        found[name] = partial(_draw_robustness, name)
    for dataset in evaluated_datasets(study):
        found[figure_of_classes(dataset)] = _of_dataset(draw_classes, dataset)
        found[figure_of_confusion(dataset)] = _of_dataset(draw_confusion, dataset)
    for dataset in history_figures(study):
        found[figure_of_history(dataset)] = _of_dataset(draw_history, dataset)
    return found


def _of_dataset(draw: Callable[[Kept, str, Path, Path], None], dataset: str) -> Draw:
    return lambda kept, png, pdf: draw(kept, dataset, png, pdf)


def _draw_robustness(name: str, kept: Kept, png: Path, pdf: Path) -> None:
    robustness_drawers(kept.robustness, kept.mark)[name](png, pdf)


def draw_history(kept: Kept, dataset: str, png: Path, pdf: Path) -> None:
    """How trainings on a dataset went, of the first seed and the study's rank.

    Raises:
        NothingToShow: if there was none.
    """
    study = kept.study
    histories = [
        TrainingHistory(kept.backbone(cell), cell.architecture, cell.weighting, pd.read_csv(history_file(study, cell)))
        for cell in study.cells()
        if cell.dataset == dataset
        and cell.rank == study.rank
        and cell.seed == study.settings["seeds"][0]
        and history_file(study, cell).is_file()
    ]
    if not histories:
        raise NothingToShow(f"No training on {study.titles()[dataset]} is done.")
    draw_histories(histories, study.titles()[dataset], kept.mark, png, pdf)


def draw_costs(kept: Kept, png: Path, pdf: Path) -> None:
    """Scores of every cell of the first seed against what it costs.

    Raises:
        NothingToShow: if no cell has results.
    """
    rows = []
    for dataset, scores in kept.scores.items():
        for cell, of_cell in scores.items():
            if cell.seed != kept.study.settings["seeds"][0]:
                continue
            about = read_provenance(kept.study, cell)
            rows.append(
                {
                    "dataset": kept.study.titles()[dataset],
                    "backbone": kept.backbone(cell),
                    "architecture": cell.architecture,
                    "parameters": about["parameters"]["trained"],
                    "images_per_second": about["cost"]["inference"]["images_per_second"],
                    "device": about["device"],
                    **{metric: of_cell.get(metric, np.nan) for metric in ("accuracy", "miou")},
                }
            )
    if not rows:
        raise NothingToShow("No cell has results.")
    cost_figure.draw_cost(pd.DataFrame(rows, columns=cost_figure.COLUMNS), kept.mark, png, pdf)
