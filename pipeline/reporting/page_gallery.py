"""Makes the gallery of the page: corrupted test images with the saved masks of each model's first seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from endoarss.labels import IGNORED
from endoarss.metrics import scores_of_images
from endoarss.metrics.catalogue import metrics_by_name
from pipeline.datasets.load import Split, load_split
from pipeline.errors import InputError
from pipeline.evaluation.corrupted_batches import CLEAN, corrupted_batches
from pipeline.io.processes import processes
from pipeline.labels.classes import LabelSet
from pipeline.reporting.models import label_of, seeds_by_model
from pipeline.results.gallery import SIZE, read_gallery, representative, shown_severities
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
    """Return a model's rows on the gallery's images and conditions, as a `Reduction` of its rows."""
    frames = results.once(_gallery_images, cell.dataset).frame_ids
    severities = shown_severities(conditions_of(results.study).severities)
    return rows[rows["frame_id"].isin(frames) & rows["severity"].isin([0, *severities]) & rows["mask_warped"]].copy()


def gallery_of(results: StudyResults) -> Gallery:
    """Return the gallery of the cells whose robustness is evaluated. The gallery also lists the other cells, with reasons.

    Raises:
        InputError: If saved masks or a dataset cannot be read.
    """
    study, missing, pictures = results.study, results.missing_robustness, Pictures()
    shown = [cell for cell in robustness_cells(study) if cell not in missing]
    datasets = [
        _dataset(results, dataset, [cell for cell in shown if cell.dataset == dataset], pictures)
        for dataset in dict.fromkeys(cell.dataset for cell in shown)
    ]
    ignores = any(IGNORED_NAME in dict(dataset.classes) for dataset in datasets)
    note = _note(study) + (" Grey pixels of true masks belong to no class and count in no score." if ignores else "")
    return Gallery(datasets, pictures, [(_label(study, cell), reason) for cell, reason in missing.items()], note)


def _label(study: Study, cell: Cell) -> str:
    """Return the labels of a cell's model and dataset."""
    return f"{label_of(study, cell)} on {titles_of(study)[cell.dataset]}"


def _gallery_images(results: StudyResults, dataset: str) -> Split:
    """Return the images of a dataset that the gallery shows."""
    test = load_split(dataset_folder(results.study, dataset), "test", results.study.input_size)
    return test.take(representative(test, SIZE))


def _dataset(results: StudyResults, dataset: str, cells: Sequence[Cell], pictures: Pictures) -> GalleryDataset:
    study, shown = results.study, results.once(_gallery_images, dataset)
    labels, evaluated = labels_of(study, dataset), conditions_of(study)
    conditions = replace(evaluated, severities=shown_severities(evaluated.severities))
    corrupted = _corrupted(shown, conditions, labels, pictures)
    images = [
        GalleryImage(
            frame_id,
            "" if shown.activities is None else labels.activities[shown.activities[i]],
            {condition_key(*condition): numbers[i] for condition, numbers in corrupted.items()},
        )
        for i, frame_id in enumerate(shown.frame_ids)
    ]
    models = [
        _model(results, seeds, shown.frame_ids, labels, pictures) for seeds in seeds_by_model(study, cells).values()
    ]
    colours = list(zip(labels.classes[1:], map(css_colour, labels.palette[1:]), strict=True))
    if (shown.masks == IGNORED).any():
        colours.append((IGNORED_NAME, css_colour(IGNORED_COLOUR)))
    return GalleryDataset(titles_of(study)[dataset], colours, conditions.severities, images, models)


def _note(study: Study) -> str:
    """Return sentences on the masks and models that the gallery shows."""
    conditions = conditions_of(study)
    moves = any(conditions.moves_masks(name) for name in conditions.corruptions)
    masks = (
        "Where a corruption moves pixels, the true mask is moved in the same way."
        if moves
        else "True masks stay where they are."
    )
    return f"{masks} For models with several seeds, the first seed is shown." if len(study.seeds) > 1 else masks


def _corrupted(
    images_of_gallery: Split, conditions: Conditions, labels: LabelSet, pictures: Pictures
) -> dict[Condition, list[tuple[int, int | None]]]:
    """Add the corrupted images and true masks to `pictures`, and return the numbers of each pair by condition.

    Corruptions depend only on the frame, the corruption and the seed, so these are the images that the models saw.
    """
    by_condition: dict[Condition, list[tuple[int, int | None]]] = {}
    with processes(0) as pool:
        for batch in corrupted_batches(
            images_of_gallery, conditions, (CLEAN, *conditions.corruptions), pool, workers=1
        ):
            assert batch.images is not None
            for position, severity in enumerate(batch.severities):
                pairs = zip(batch.images[position], batch.masks[position], strict=True)
                by_condition.setdefault((batch.name, severity), []).extend(
                    (pictures.add_image(image), pictures.add_mask(mask, labels.palette)) for image, mask in pairs
                )
    return by_condition


def _model(
    results: StudyResults, seeds: Sequence[Cell], frame_ids: Sequence[str], labels: LabelSet, pictures: Pictures
) -> GalleryModel:
    study, cell = results.study, seeds[0]
    severities = [0, *shown_severities(conditions_of(study).severities)]
    _, rows_file, _, masks_file = robustness_files(study, cell)
    saved_ids, saved = read_gallery(masks_file, len(labels.classes))
    masks = {
        # Evaluations by an earlier version of this project may lack images, because that version selected other images.
        condition_key(*condition): [
            pictures.add_mask(of_images[saved_ids.index(frame)], labels.palette) if frame in saved_ids else None
            for frame in frame_ids
        ]
        for condition, of_images in saved.items()
        if condition[1] in severities
    }
    rows = results.reduced(cell, gallery_rows)
    scores = _scores_of_images(rows, len(labels.classes))
    by_key: dict[tuple[str, str], dict[str, Any]] = {}  # by condition and frame
    for row, row_scores in zip(rows.to_dict("records"), scores, strict=True):
        prediction = (
            {"activity": labels.activities[int(row["activity_predicted"])]} if "activity_predicted" in row else {}
        )
        by_key[condition_key(row["corruption"], row["severity"]), row["frame_id"]] = prediction | row_scores
    keys = dict.fromkeys(key for key, _ in by_key)
    for key, frame in ((key, frame) for key in keys for frame in frame_ids):
        if (key, frame) not in by_key:
            raise InputError(f"{rows_file}: the image {frame!r} lacks the condition {key}. Evaluate the cell again.")
    predictions = {key: [by_key[key, frame] for frame in frame_ids] for key in keys}
    return GalleryModel(label_of(study, cell), cell.id, len(seeds), masks, predictions)


def _scores_of_images(rows: pd.DataFrame, classes: int) -> list[dict[str, float]]:
    """Return the scores of each row by metric, without scores that are not defined."""
    if "truth_0" not in rows or rows.empty:
        return [{} for _ in range(len(rows))]
    scores = scores_of_images({str(name): rows[name].to_numpy() for name in rows}, classes)
    digits = {name: 6 if metric.scale > 1 else 4 for name, metric in metrics_by_name().items()}
    return [
        {
            name: round(float(of_images[i]), digits[name])
            for name, of_images in scores.items()
            if np.isfinite(of_images[i])
        }
        for i in range(len(rows))
    ]
