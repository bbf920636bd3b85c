"""From predictions to measurements: one row an image, and from the rows of a split its scores: rows are kept, so that any score
can be computed again without the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from endoarss.metrics import evaluate_classification, pixel_counts, scores_from_counts, surface_distances
from pipeline.datasets.labels import LabelSet
from pipeline.datasets.load import Part

PROTOCOL = "standard"
_COUNTS = ("both", "truth", "predicted")
_DISTANCES = ("hd95", "assd")


@dataclass(frozen=True)
class Measured:
    """scores: dicts of metric, class, value, n. per_image: one row an image."""

    scores: list[dict[str, Any]]
    per_image: pd.DataFrame


def measure(
    part: Part,
    truth: NDArray[np.uint8],
    labels: LabelSet,
    activity: NDArray[np.int64] | None,
    masks: NDArray[np.uint8] | None,
    surfaces: bool = True,
) -> Measured:
    """Score predictions against a split.

    Args:
        part: the split. truth: its masks (N, S, S). labels: of the dataset.
        activity: predicted activities (N,), or None. masks: predicted masks (N, S, S), or None.
        surfaces: whether distances between outlines are measured, which takes longest.
    """
    measured = None
    if masks is not None:
        pairs = zip(truth, masks, strict=True)
        measured = [measure_mask(true, predicted, len(labels.classes), surfaces) for true, predicted in pairs]
    rows = rows_of_images(part, activity, measured)
    return Measured(scores_of_rows(rows, labels), rows)


def measure_mask(
    truth: NDArray[np.uint8], predicted: NDArray[np.uint8], classes: int, surfaces: bool = True
) -> dict[str, float]:
    """What is kept of one predicted mask (H, W): both_<i>, truth_<i>, predicted_<i> (pixels of each class), and hd95_<i>, assd_<i>
    (pixels; NaN for a class in neither mask) of each class but the background."""
    counts = pixel_counts(truth, predicted, classes)
    row: dict[str, float] = {f"{kind}_{i}": int(counts[k, i]) for k, kind in enumerate(_COUNTS) for i in range(classes)}
    if surfaces:
        distances = surface_distances(truth, predicted, classes)
        row |= {f"{kind}_{i}": float(getattr(distances, kind)[i]) for kind in _DISTANCES for i in range(1, classes)}
    return row


def rows_of_images(
    part: Part, activity: NDArray[np.int64] | None, masks: Sequence[dict[str, float]] | None
) -> pd.DataFrame:
    """One row an image: frame_id, sequence, activity_true and activity_predicted where both are known, and `measure_mask`'s.

    Args:
        part: the split. activity: predicted activities (N,), or None. masks: of each image what `measure_mask` gives, or None.
    """
    about: dict[str, Any] = {"frame_id": part.frame_ids, "sequence": part.sequences}
    if activity is not None and part.activities is not None:
        about |= {"activity_true": part.activities, "activity_predicted": activity}
    rows = pd.DataFrame(about)
    return rows if masks is None else pd.concat([rows, pd.DataFrame(masks)], axis=1)


def scores_of_rows(rows: pd.DataFrame, labels: LabelSet) -> list[dict[str, Any]]:
    """The scores of a split from its rows: dicts of metric, class ("" for all), value (None where it is not defined), and n.

    accuracy, macro_f1, modal_share, predictions_without_support, f1 of each activity; miou, dice, miou_foreground, dice_foreground,
    iou and dice of each class; hd95 and assd (pixels): of each class the mean over the images where it is in truth or prediction,
    and their mean over the classes with truth but the background; surface_missing: how often a class is in one of the two only, and
    its distance the image's diagonal.
    """
    scores: list[dict[str, Any]] = []

    def add(metric: str, value: float, name: str = "", n: int = len(rows)) -> None:
        scores.append({"metric": metric, "class": name, "value": None if np.isnan(value) else float(value), "n": n})

    if "activity_true" in rows:
        predicted = rows["activity_predicted"].to_numpy()
        answers = evaluate_classification(rows["activity_true"], predicted, len(labels.activities), PROTOCOL)
        add("accuracy", answers.accuracy)
        add("macro_f1", answers.macro_f1)
        add("modal_share", float(np.bincount(predicted).max() / len(rows)))
        add("predictions_without_support", answers.predictions_without_support)
        for index, name in enumerate(labels.activities):
            add("f1", float(answers.f1[index]), name, int(answers.support[index]))
    if "truth_0" in rows:
        classes = range(len(labels.classes))
        counts = np.stack([rows[[f"{kind}_{i}" for i in classes]].to_numpy() for kind in _COUNTS], axis=1)
        overall = scores_from_counts(counts.sum(axis=0))
        add("miou", overall.miou)
        add("dice", overall.dice)
        add("miou_foreground", overall.miou_foreground)
        add("dice_foreground", overall.dice_foreground)
        with_class = (counts[:, 1] > 0).sum(axis=0)
        for index, name in enumerate(labels.classes):
            add("iou", float(overall.iou[index]), name, int(with_class[index]))
            add("dice", float(overall.dice_per_class[index]), name, int(with_class[index]))
        if "hd95_1" in rows:
            _add_surfaces(add, rows, labels.classes, with_class)
            missing = (counts[:, 1, 1:] > 0) != (counts[:, 2, 1:] > 0)
            add("surface_missing", int(missing.sum()))
    return scores


def _add_surfaces(
    add: Callable[..., None], rows: pd.DataFrame, classes: Sequence[str], with_class: NDArray[np.int64]
) -> None:
    for kind in _DISTANCES:
        values = rows[[f"{kind}_{i}" for i in range(1, len(classes))]].to_numpy()
        means = [float(np.nanmean(column)) if np.isfinite(column).any() else np.nan for column in values.T]
        of_truth = [mean for mean, images in zip(means, with_class[1:], strict=True) if images]
        add(kind, float(np.mean(of_truth)) if of_truth else np.nan)
        for index, mean in enumerate(means, start=1):
            add(kind, mean, classes[index], int(np.isfinite(values[:, index - 1]).sum()))
