"""Draws figures 2 and 5 of a study: predicted masks on selected test images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from endoarss.labels import IGNORED
from endoarss.metrics.catalogue import MIOU
from pipeline.datasets.load import Split, load_split
from pipeline.datasets.manifest import read_manifest
from pipeline.errors import InputError
from pipeline.reporting.figures.figure_inputs import NothingToShow, scores_by_dataset
from pipeline.reporting.models import label_of, model_name
from pipeline.reporting.shown_cells import best_by_backbone, high_middle_low, image_ious, single_and_multi
from pipeline.results.paths import predictions_file
from pipeline.results.predictions import read_predictions
from pipeline.results.study_results import StudyResults
from pipeline.study.cell import Cell
from pipeline.study.cells import cells_of
from pipeline.study.datasets import labels_of, titles_of
from pipeline.study.folders import dataset_folder
from pipeline.study.labels import model_labels
from pipeline.study.paper_cells import task_pairs
from reports.figures.segmentation import Gallery, draw_segmentation


def gaps_of_tasks(results: StudyResults) -> dict[Cell, str]:
    """Return the cells without results that figure 2 could show: cells of the shown pair and of the pairs before it."""
    shown = single_and_multi(results.study, scores_by_dataset(results))
    gaps: dict[Cell, str] = {}
    for single, others in task_pairs(results.study):
        gaps |= results.gaps((single, *others))
        if shown is not None and single == shown[0]:
            break
    return gaps


def gaps_of_masks(results: StudyResults) -> dict[Cell, str]:
    """Return the cells without results that figure 5 could show: cells that segment, with the study's rank."""
    cells = (cell for cell in cells_of(results.study) if cell.architecture != "single_activity")
    return results.gaps(cell for cell in cells if cell.rank == results.study.lora.rank)


def draw_tasks(results: StudyResults, head: str, png: Path, pdf: Path) -> None:
    """Draw figure 2: a segmentation-only and a multi-task cell on three test images.

    On these images the multi-task cell gains most, gains the median, and loses most.

    Raises:
        NothingToShow: If no such pair has results.
    """
    study = results.study
    pair = single_and_multi(study, scores_by_dataset(results))
    if pair is None:
        raise NothingToShow("No segmentation-only cell has results together with a multi-task cell of its backbone.")
    single, multi = pair
    dataset = single.dataset
    gains = _image_ious(results, multi, dataset) - _image_ious(results, single, dataset)
    split = load_split(dataset_folder(study, dataset), "test", study.input_size)
    selected = high_middle_low(gains, split.frame_ids)
    backbone, other = model_labels(study).backbone(single.backbone), model_name(study, multi)
    title = (
        f"{titles_of(study)[dataset]}, {backbone}: {model_name(study, single)} compared with {other}. "
        f"Columns: test images with the gain of {other} in mean IoU, in points"
    )
    notes = [_note_of_gain(gains[index], place, len(selected)) for place, index in enumerate(selected)]
    draw_segmentation([_gallery(results, split, [single, multi], dataset, title, selected, notes)], head, png, pdf)


def draw_best(results: StudyResults, head: str, png: Path, pdf: Path) -> None:
    """Draw figure 5: for each dataset, the best segmenting cell of each backbone on three test images.

    These are the best, the median and the worst image of the best cell.

    Raises:
        NothingToShow: If no cell that segments has results.
    """
    study, galleries = results.study, []
    for dataset, scores in scores_by_dataset(results).items():
        cells = best_by_backbone(study, scores)
        if not cells:
            continue
        best = max(cells, key=lambda cell: scores[cell][MIOU])
        ious = _image_ious(results, best, dataset)
        split = load_split(dataset_folder(study, dataset), "test", study.input_size)
        selected = high_middle_low(ious, split.frame_ids)
        names = {1: ["only image"], 2: ["best", "worst"]}.get(len(selected), ["best", "median", "worst"])
        notes = [f"{name} ({100 * ious[index]:.1f})" for name, index in zip(names, selected, strict=True)]
        title = f"{titles_of(study)[dataset]}. Columns: test images by their mean IoU (%) under {label_of(study, best)}"
        galleries.append(_gallery(results, split, cells, dataset, title, selected, notes))
    if not galleries:
        raise NothingToShow("No cell that segments has results.")
    draw_segmentation(galleries, head, png, pdf)


def _note_of_gain(gain: float, place: int, count: int) -> str:
    if count == 1:
        name = "only image"
    elif place == 0:
        name = "gains most" if gain > 0 else "loses least"
    elif place == count - 1:
        name = "loses most" if gain < 0 else "gains least"
    else:
        name = "median"
    return f"{name} ({100 * gain:+.1f})"


def _image_ious(results: StudyResults, cell: Cell, dataset: str) -> NDArray[np.float64]:
    return image_ious(results.clean_rows(cell, dataset), len(labels_of(results.study, dataset).classes))


def _gallery(
    results: StudyResults,
    split: Split,
    cells: Sequence[Cell],
    dataset: str,
    title: str,
    selected: Sequence[int],
    notes: Sequence[str],
) -> Gallery:
    """Return the gallery of selected images and the masks of some cells. The activity of an image stands below its note."""
    labels = labels_of(results.study, dataset)
    truth = split.masks[selected]
    masks = {"truth": truth}
    for cell in cells:
        miou = scores_by_dataset(results)[dataset][cell][MIOU]
        name = f"{model_labels(results.study).backbone(cell.backbone)}\n{model_name(results.study, cell)}\nmIoU {100 * miou:.1f}"
        predicted = _saved_masks(results, cell, dataset, [split.frame_ids[i] for i in selected])
        # Ignored pixels are not scored, so the figure does not show predictions there.
        masks[name] = np.where(truth == IGNORED, truth, predicted)
    if split.activities is not None:
        notes = [
            f"{note}\n{labels.activities[split.activities[i]].replace('_', ' ')}"
            for note, i in zip(notes, selected, strict=True)
        ]
    frame = next(row for row in read_manifest(dataset_folder(results.study, dataset)) if row["split"] == "test")
    aspect = int(frame["height"]) / int(frame["width"])
    return Gallery(title, labels.classes, labels.palette, split.images[selected], masks, notes, aspect)


def _saved_masks(results: StudyResults, cell: Cell, dataset: str, frame_ids: Sequence[str]) -> NDArray[np.uint8]:
    path = predictions_file(results.study, cell, dataset)
    masks = read_predictions(path, frame_ids, labels_of(results.study, dataset)).masks
    if masks is None:
        raise InputError(f"{path}: holds no masks. Run snakemake, or: endoarss evaluate --again.")
    return masks
