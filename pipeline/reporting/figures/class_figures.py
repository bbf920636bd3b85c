"""Figures of a study by class: scores of every class and activity, and what is taken for what."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from endoarss.metrics.catalogue import ACCURACY, F1, IOU, MIOU
from pipeline.errors import InputError
from pipeline.reporting.figures.figure_inputs import Kept, NothingToShow
from pipeline.reporting.shown_cells import best_by_backbone, best_of_both
from pipeline.study.cell import Cell
from pipeline.study.cells import cells_of
from pipeline.study.datasets import evaluated_on, labels_of, titles_of
from reports.figures.classes import ClassScores, draw_class_scores
from reports.figures.confusion import Confusion, draw_confusions
from reports.results import CLEAN
from reports.statistics.confusion import activity_confusion, pixel_confusion

_MODELS = 4  # more bars in a group are hard to tell apart


def gaps_of_classes(kept: Kept, dataset: str) -> dict[Cell, str]:
    """The cells without results that figures by class would choose from: those that segment, where the dataset has such."""
    cells = _compared(kept, dataset)
    segmenting = [cell for cell in cells if cell.architecture != "single_activity"]
    return {cell: kept.lacking[cell] for cell in segmenting or cells if cell in kept.lacking}


def gaps_of_confusion(kept: Kept, dataset: str) -> dict[Cell, str]:
    """The cells without results that matrices would choose from: those of both tasks; where none of them has results, all."""
    cells = _compared(kept, dataset)
    both = any(not cell.architecture.startswith("single_") for cell in cells if cell in kept.scores[dataset])
    wanted = [cell for cell in cells if not (both and cell.architecture.startswith("single_"))]
    return {cell: kept.lacking[cell] for cell in wanted if cell in kept.lacking}


def _compared(kept: Kept, dataset: str) -> list[Cell]:
    study = kept.study
    return [
        cell
        for cell in cells_of(study)
        if dataset in evaluated_on(study, cell.dataset) and cell.rank == study.lora.rank
    ]


def draw_classes(kept: Kept, dataset: str, head: str, png: Path, pdf: Path) -> None:
    """IoU of every class and F1 of every activity, of the best cell of each backbone.

    Raises:
        NothingToShow: if no cell has results on the dataset.
    """
    scores = kept.scores[dataset]
    cells = best_by_backbone(kept.study, scores) or list(dict.fromkeys(best_of_both(kept.study, scores).values()))
    cells = sorted(cells, key=lambda cell: -scores[cell].get(MIOU, 0.0))[:_MODELS]
    labels = labels_of(kept.study, dataset)
    panels = []
    for metric, title, names in (
        (IOU, "IoU of classes, n: images with the class", labels.classes),
        (F1, "F1 of activities, n: images", labels.activities),
    ):
        panel = _panel(kept, cells, dataset, metric, title, names)
        panels += [panel] if panel is not None else []
    if not panels:
        raise NothingToShow("No cell has results on this dataset.")
    title = f"{titles_of(kept.study)[dataset]}: the best cell of each backbone by mIoU"
    draw_class_scores(panels, title, head, png, pdf)


def _panel(
    kept: Kept, cells: Sequence[Cell], dataset: str, metric: str, title: str, names: Sequence[str]
) -> ClassScores | None:
    results = kept.results.compared_table
    results = results[
        (results["eval_dataset"] == dataset) & (results["corruption"] == CLEAN) & (results["metric"] == metric)
    ]
    values, support = {}, pd.Series(0, index=list(names))
    for cell in cells:
        about = ["dataset", "backbone", "architecture", "weighting", "variant"]
        chosen = results
        for key in about:
            chosen = chosen[chosen[key] == getattr(cell, key)]
        if not chosen.empty:
            by_class = chosen.set_index("class")
            values[kept.label(cell)] = by_class["value"].reindex(names)
            support = by_class["n"].reindex(names, fill_value=0)
    if not values or not names:
        return None
    return ClassScores(title, pd.DataFrame(values, index=list(names)), [int(n) for n in support])


def draw_confusion(kept: Kept, dataset: str, head: str, png: Path, pdf: Path) -> None:
    """What activities and pixels of the dataset's best cell are taken for.

    Raises:
        NothingToShow: if no cell has results on the dataset.
    """
    chosen, labels, panels = best_of_both(kept.study, kept.scores[dataset]), labels_of(kept.study, dataset), []
    if ACCURACY in chosen:
        matrix = activity_confusion(kept.rows(chosen[ACCURACY], dataset), len(labels.activities))
        title = f"Activities (images)\n{kept.label(chosen[ACCURACY])}"
        panels.append(Confusion(title, labels.activities, matrix, counts=True))
    if MIOU in chosen:
        matrix = _pixels(kept, chosen[MIOU], dataset, len(labels.classes))
        title = f"Pixels (% of the row)\n{kept.label(chosen[MIOU])}"
        panels.append(Confusion(title, labels.classes, matrix, counts=False))
    if not panels:
        raise NothingToShow("No cell has results on this dataset.")
    title = f"{titles_of(kept.study)[dataset]}: the best cell by the mean of accuracy and mIoU"
    if len(set(chosen.values())) > 1:
        title = f"{titles_of(kept.study)[dataset]}: the best cell of each task"
    draw_confusions(panels, title, head, png, pdf)


def _pixels(kept: Kept, cell: Cell, dataset: str, classes: int) -> NDArray[np.int64]:
    rows = kept.rows(cell, dataset)
    if "pixels_0_0" not in rows:
        raise InputError(
            f"{cell.id}: its rows on {dataset} lack the column pixels_0_0; another version wrote them. Evaluate the cell again."
        )
    return pixel_confusion(rows, classes)
