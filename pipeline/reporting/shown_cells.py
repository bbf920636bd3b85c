"""Selects the cells and test images that figures show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from endoarss.metrics import scores_of_images
from endoarss.metrics.catalogue import MAIN, MIOU, Shown, shown_metrics
from pipeline.reporting.models import rows_of_cell
from pipeline.results.study_results import StudyResults
from pipeline.study.cell import Cell
from pipeline.study.datasets import evaluated_on
from pipeline.study.models import Study
from pipeline.study.paper_cells import PaperNames, task_pairs
from reports.results import clean_scores

Scores = Mapping[str, float]


def scored_cells(results: StudyResults, dataset: str) -> dict[Cell, Scores]:
    """Return the cells with results on a dataset, in the order of the study, each with its summary metrics such as accuracy and mIoU."""
    scores = clean_scores(results.compared_table, dataset)
    scores = scores[scores["metric"].isin(list(shown_metrics(Shown.SUMMARY))) & scores["value"].notna()]
    by_cell: dict[Cell, Scores] = {}
    for cell in results.present_cells:
        rows = rows_of_cell(scores, cell)
        if dataset in evaluated_on(results.study, cell.dataset) and len(rows):
            by_cell[cell] = dict(zip(rows["metric"], rows["value"], strict=True))
    return by_cell


def best_by_backbone(study: Study, scores: Mapping[Cell, Scores]) -> list[Cell]:
    """Return the cell with the highest mIoU of each backbone, in the study's order of backbones.

    Only cells with the study's rank count. If cells are equal, the first one is returned.
    """
    best: dict[str, Cell] = {}
    for cell, of_cell in scores.items():
        if cell.rank == study.lora.rank and MIOU in of_cell:
            other = best.setdefault(cell.backbone, cell)
            best[cell.backbone] = cell if of_cell[MIOU] > scores[other][MIOU] else other
    return [best[name] for name in study.backbones if name in best]


def best_of_both(study: Study, scores: Mapping[Cell, Scores]) -> dict[str, Cell]:
    """Return a cell per metric: the cell with the highest mean of accuracy and mIoU, or the best of each if no cell has both."""
    cells = [cell for cell in scores if cell.rank == study.lora.rank]
    with_both = [cell for cell in cells if all(metric in scores[cell] for metric in MAIN)]
    if with_both:
        return dict.fromkeys(MAIN, max(with_both, key=lambda cell: sum(scores[cell][metric] for metric in MAIN)))
    candidates = {metric: [cell for cell in cells if metric in scores[cell]] for metric in MAIN}
    return {metric: max(some, key=lambda cell: scores[cell][metric]) for metric, some in candidates.items() if some}


def single_and_multi(study: Study, scores: Mapping[str, Mapping[Cell, Scores]]) -> tuple[Cell, Cell] | None:
    """Return the pair that figure 2 shows, which is the first of `task_pairs` with results, or None if no pair has results.

    Its multi-task cell is the cell of the paper's figure, or else the cell with the highest mIoU.

    Args:
        study: The study.
        scores: The results of `scored_cells` by dataset.
    """
    for single, others in task_pairs(study):
        of_dataset = scores[single.dataset]
        candidates = [cell for cell in others if MIOU in of_dataset.get(cell, {})]
        if MIOU in of_dataset.get(single, {}) and candidates:
            paper = PaperNames(study)
            of_paper = [cell for cell in candidates if paper.of(cell)[1:] == ("mmoe", "stch")]
            return single, max(of_paper or candidates, key=lambda cell: of_dataset[cell][MIOU])
    return None


def image_ious(rows: pd.DataFrame, classes: int) -> NDArray[np.float64]:
    """Return the mean IoU of each image (N,), as `endoarss.metrics.scores_of_images` defines it.

    Args:
        rows: N saved rows with columns of masks.
        classes: Number of classes of the dataset, with the background.
    """
    return scores_of_images({name: rows[name].to_numpy() for name in rows}, classes)[MIOU]


def high_middle_low(values: NDArray[np.float64], names: Sequence[str]) -> list[int]:
    """Return the indices of the highest, the median and the lowest value. There are fewer if N is below 3.

    Args:
        values: One value per image (N,).
        names: The names of the N images, which order equal values.
    """
    order = sorted(range(len(names)), key=lambda i: (-values[i], names[i]))
    return [order[i] for i in sorted({0, len(order) // 2, len(order) - 1})]
