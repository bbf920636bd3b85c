"""Draws the figures of classes and activities: their scores, and confusion matrices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from endoarss.metrics.catalogue import ACCURACY, F1, IOU, MIOU
from pipeline.errors import InputError
from pipeline.reporting.figures.figure_inputs import NothingToShow, scores_by_dataset
from pipeline.reporting.models import label_of, rows_of_cell
from pipeline.reporting.shown_cells import best_by_backbone, best_of_both
from pipeline.results.study_results import StudyResults
from pipeline.study.cell import Cell
from pipeline.study.cells import cells_of
from pipeline.study.datasets import evaluated_on, labels_of, titles_of
from reports.figures.classes import ClassScores, draw_class_scores
from reports.figures.confusion import Confusion, draw_confusions
from reports.results import CLEAN
from reports.statistics.confusion import activity_confusion, pixel_confusion

_MODELS_AT_MOST = 4  # more bars in a group are hard to distinguish


def gaps_of_classes(results: StudyResults, dataset: str) -> dict[Cell, str]:
    """Return the cells without results that the figure by class could show: cells that segment, or all cells if none segments."""
    cells = _candidates(results, dataset)
    segmenting = [cell for cell in cells if cell.architecture != "single_activity"]
    return results.gaps(segmenting or cells)


def gaps_of_confusion(results: StudyResults, dataset: str) -> dict[Cell, str]:
    """Return the cells without results that the matrices could show: multi-task cells, or all if no multi-task cell has results."""
    cells, scores = _candidates(results, dataset), scores_by_dataset(results)[dataset]
    has_multi_task = any(not cell.architecture.startswith("single_") for cell in cells if cell in scores)
    return results.gaps(cell for cell in cells if not (has_multi_task and cell.architecture.startswith("single_")))


def _candidates(results: StudyResults, dataset: str) -> list[Cell]:
    """Return the cells that are tested on a dataset and have the study's rank."""
    study = results.study
    return [
        cell
        for cell in cells_of(study)
        if dataset in evaluated_on(study, cell.dataset) and cell.rank == study.lora.rank
    ]


def draw_classes(results: StudyResults, head: str, png: Path, pdf: Path, dataset: str) -> None:
    """Draw the IoU of every class and the F1 of every activity for the best cells of at most four backbones.

    Raises:
        NothingToShow: If no cell has results on the dataset.
    """
    scores = scores_by_dataset(results)[dataset]
    cells = best_by_backbone(results.study, scores) or list(dict.fromkeys(best_of_both(results.study, scores).values()))
    cells = sorted(cells, key=lambda cell: -scores[cell].get(MIOU, 0.0))[:_MODELS_AT_MOST]
    labels = labels_of(results.study, dataset)
    panels = []
    for metric, title, names in (
        (IOU, "IoU of classes, n: images with the class", labels.classes),
        (F1, "F1 of activities, n: images", labels.activities),
    ):
        panel = _panel(results, cells, dataset, metric, title, names)
        panels += [panel] if panel is not None else []
    if not panels:
        raise NothingToShow("No cell has results on this dataset.")
    title = f"{titles_of(results.study)[dataset]}: the best cell of each backbone by mIoU"
    draw_class_scores(panels, title, head, png, pdf)


def _panel(
    results: StudyResults, cells: Sequence[Cell], dataset: str, metric: str, title: str, names: Sequence[str]
) -> ClassScores | None:
    table = results.compared_table
    table = table[(table["eval_dataset"] == dataset) & (table["corruption"] == CLEAN) & (table["metric"] == metric)]
    values, support = {}, pd.Series(0, index=list(names))
    for cell in cells:
        cell_rows = rows_of_cell(table, cell)
        if not cell_rows.empty:
            by_class = cell_rows.set_index("class")
            values[label_of(results.study, cell)] = by_class["value"].reindex(names)
            support = by_class["n"].reindex(names, fill_value=0)
    if not values or not names:
        return None
    return ClassScores(title, pd.DataFrame(values, index=list(names)), [int(n) for n in support])


def draw_confusion(results: StudyResults, head: str, png: Path, pdf: Path, dataset: str) -> None:
    """Draw the confusion matrices of activities and pixels for the best cell of the dataset.

    Raises:
        NothingToShow: If no cell has results on the dataset.
    """
    study, labels, panels = results.study, labels_of(results.study, dataset), []
    best = best_of_both(study, scores_by_dataset(results)[dataset])
    if ACCURACY in best:
        matrix = activity_confusion(results.clean_rows(best[ACCURACY], dataset), len(labels.activities))
        title = f"Activities (images)\n{label_of(study, best[ACCURACY])}"
        panels.append(Confusion(title, labels.activities, matrix, counts=True))
    if MIOU in best:
        matrix = _pixel_matrix(results, best[MIOU], dataset, len(labels.classes))
        title = f"Pixels (% of the row)\n{label_of(study, best[MIOU])}"
        panels.append(Confusion(title, labels.classes, matrix, counts=False))
    if not panels:
        raise NothingToShow("No cell has results on this dataset.")
    title = f"{titles_of(study)[dataset]}: the best cell by the mean of accuracy and mIoU"
    if len(set(best.values())) > 1:
        title = f"{titles_of(study)[dataset]}: the best cell of each task"
    draw_confusions(panels, title, head, png, pdf)


def _pixel_matrix(results: StudyResults, cell: Cell, dataset: str, classes: int) -> NDArray[np.int64]:
    rows = results.clean_rows(cell, dataset)
    if "pixels_0_0" not in rows:
        raise InputError(
            f"{cell.id}: its rows on {dataset} lack the column pixels_0_0, because another version wrote them. Evaluate the cell again."
        )
    return pixel_confusion(rows, classes)
