"""The page's gallery: test images corrupted once more, as the evaluation did, with the masks that it kept of each model's first seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from endoarss.metrics import scores_of_images
from endoarss.metrics.catalogue import metrics_by_name
from endoarss.settings import IGNORED
from pipeline.datasets.load import Part, load_part
from pipeline.errors import InputError
from pipeline.evaluation.corrupted_batches import CLEAN, moves_masks, pieces
from pipeline.io.processes import processes
from pipeline.labels.classes import LabelSet
from pipeline.reporting.models import label_of
from pipeline.results.gallery import read_gallery
from pipeline.results.gallery_images import SIZE, representative, shown_severities
from pipeline.results.paths import robustness_files
from pipeline.results.study_results import StudyResults
from pipeline.study.cell import Cell
from pipeline.study.conditions import Conditions, conditions_of
from pipeline.study.datasets import labels_of, titles_of
from pipeline.study.folders import dataset_folder
from pipeline.study.models import Study
from pipeline.study.robust_models import robustness_cells
from reports.page import Gallery, GalleryDataset, GalleryImage, GalleryModel, Pictures
from reports.page.gallery import condition_key, css_colour
from reports.statistics.ignored import IGNORED_COLOUR, IGNORED_NAME

Condition = tuple[str, int]  # corruption and severity; ("", 0) is clean


def gallery_rows(results: StudyResults, cell: Cell, rows: pd.DataFrame) -> pd.DataFrame:
    """Return a model's rows of the gallery's images and conditions. A `Reduction`."""
    frames, severities = results.once(_gallery_part, cell.dataset).frame_ids, _conditions(results.study).severities
    return rows[rows["frame_id"].isin(frames) & rows["severity"].isin([0, *severities]) & rows["mask_warped"]].copy()


def gallery_of(results: StudyResults) -> Gallery:
    """The gallery of the cells whose robustness is evaluated; the others are named in it.

    Raises:
        InputError: if what an evaluation kept, or a dataset, cannot be read.
    """
    study, missing, pictures = results.study, results.missing_robustness, Pictures()
    by_dataset: dict[str, list[Cell]] = {}
    for cell in robustness_cells(study):
        if cell not in missing:
            by_dataset.setdefault(cell.dataset, []).append(cell)
    datasets = [_dataset(results, dataset, cells, pictures) for dataset, cells in by_dataset.items()]
    ignores = any(IGNORED_NAME in dict(dataset.classes) for dataset in datasets)
    note = _note(study) + (" Grey pixels of true masks belong to no class; no score is of them." if ignores else "")
    return Gallery(datasets, pictures, [(cell.id, reason) for cell, reason in missing.items()], note)


def _gallery_part(results: StudyResults, dataset: str) -> Part:
    """The gallery's images of a dataset."""
    part = load_part(dataset_folder(results.study, dataset), "test", results.study.input_size)
    return _chosen(part, representative(part, SIZE))


def _dataset(results: StudyResults, dataset: str, cells: Sequence[Cell], pictures: Pictures) -> GalleryDataset:
    study, shown = results.study, results.once(_gallery_part, dataset)
    labels, conditions = labels_of(study, dataset), _conditions(study)
    corrupted = _corrupted(shown, conditions, labels, pictures)
    images = [
        GalleryImage(
            frame_id,
            "" if shown.activities is None else labels.activities[shown.activities[i]],
            {condition_key(*condition): numbers[i] for condition, numbers in corrupted.items()},
        )
        for i, frame_id in enumerate(shown.frame_ids)
    ]
    models = [_model(results, seeds, shown.frame_ids, labels, pictures) for seeds in _by_model(cells)]
    colours = list(zip(labels.classes[1:], map(css_colour, labels.palette[1:]), strict=True))
    if (shown.masks == IGNORED).any():
        colours.append((IGNORED_NAME, css_colour(IGNORED_COLOUR)))
    return GalleryDataset(titles_of(study)[dataset], colours, conditions.severities, images, models)


def _by_model(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Group cells that differ by seed alone."""
    found: dict[tuple[object, ...], list[Cell]] = {}
    for cell in cells:
        found.setdefault(cell.model[:-1], []).append(cell)
    return list(found.values())


def _note(study: Study) -> str:
    moves = any(moves_masks(_conditions(study), name) for name in _conditions(study).corruptions)
    masks = (
        "Where a corruption moves pixels, the true mask moves along." if moves else "True masks stay where they are."
    )
    return f"{masks} Of a model with several seeds, the first is shown." if len(study.seeds) > 1 else masks


def _conditions(study: Study) -> Conditions:
    """What is shown of what the evaluation put images through. Its own step says the same, and imports torch."""
    about = conditions_of(study)
    return Conditions(tuple(about.corruptions), shown_severities(about.severities), about.seed, about.profile)


def _chosen(part: Part, index: Sequence[int]) -> Part:
    """Some images of a part, in this order."""
    found = list(index)
    return replace(
        part,
        frame_ids=[part.frame_ids[i] for i in found],
        sequences=[part.sequences[i] for i in found],
        images=np.array(part.images[found]),
        masks=np.array(part.masks[found]),
        activities=None if part.activities is None else part.activities[found],
    )


def _corrupted(
    part: Part, conditions: Conditions, labels: LabelSet, pictures: Pictures
) -> dict[Condition, list[tuple[int, int | None]]]:
    """By condition the numbers of each image and its true mask. What is random depends on frame, corruption and seed alone, so that these
    images are those that the models saw."""
    found: dict[Condition, list[tuple[int, int | None]]] = {}
    with processes(0) as pool:
        for piece in pieces(part, conditions, (CLEAN, *conditions.corruptions), pool, workers=1):
            assert piece.images is not None
            for position, severity in enumerate(piece.severities):
                pairs = zip(piece.images[position], piece.masks[position], strict=True)
                found.setdefault((piece.name, severity), []).extend(
                    (pictures.add_image(image), pictures.add_mask(mask, labels.palette)) for image, mask in pairs
                )
    return found


def _model(
    results: StudyResults, seeds: Sequence[Cell], frame_ids: Sequence[str], labels: LabelSet, pictures: Pictures
) -> GalleryModel:
    study, cell = results.study, seeds[0]
    severities = [0, *_conditions(study).severities]
    _, rows_file, _, masks_file = robustness_files(study, cell)
    kept_ids, kept = read_gallery(masks_file, len(labels.classes))
    masks = {
        condition_key(*condition): [_number(of_images, kept_ids, frame, labels, pictures) for frame in frame_ids]
        for condition, of_images in kept.items()
        if condition[1] in severities
    }
    rows = results.reduced(cell, gallery_rows)
    scores = _scores_of_images(rows, len(labels.classes))
    found = {
        (condition_key(row["corruption"], row["severity"]), row["frame_id"]): _answer(row, labels) | own
        for row, own in zip(rows.to_dict("records"), scores, strict=True)
    }
    keys = dict.fromkeys(key for key, _ in found)
    for key, frame in ((key, frame) for key in keys for frame in frame_ids):
        if (key, frame) not in found:
            raise InputError(f"{rows_file}: the image {frame!r} lacks the condition {key}. Evaluate the cell again.")
    answers = {key: [found[key, frame] for frame in frame_ids] for key in keys}
    return GalleryModel(label_of(study, cell), cell.id, len(seeds), masks, answers)


def _number(
    masks: NDArray[np.uint8], kept_ids: Sequence[str], frame: str, labels: LabelSet, pictures: Pictures
) -> int | None:
    if frame not in kept_ids:
        return None  # an evaluation of before the choice of images changed
    return pictures.add_mask(masks[kept_ids.index(frame)], labels.palette)


def _answer(row: Mapping[str, Any], labels: LabelSet) -> dict[str, Any]:
    """The activity that a model tells of an image, if it tells one."""
    return {"activity": labels.activities[int(row["activity_predicted"])]} if "activity_predicted" in row else {}


def _scores_of_images(rows: pd.DataFrame, classes: int) -> list[dict[str, float]]:
    """The scores of each row by metric, without those that are not defined."""
    if "truth_0" not in rows or rows.empty:
        return [{} for _ in range(len(rows))]
    found = scores_of_images({str(name): rows[name].to_numpy() for name in rows}, classes)
    digits = {name: 6 if metric.scale > 1 else 4 for name, metric in metrics_by_name().items()}
    return [
        {
            name: round(float(of_images[i]), digits[name])
            for name, of_images in found.items()
            if np.isfinite(of_images[i])
        }
        for i in range(len(rows))
    ]
