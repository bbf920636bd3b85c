"""Scores as functions of counts. The functions serve both tasks: labels are the activities of images, or the classes of pixels.

- Counts of labels are arrays (..., 3, K). For each of K labels they hold how often it is both the true and the predicted label, how often
  it is the true label, and how often it is the predicted label (`COUNTED`).
- Values of images are arrays (..., 3, K). For each label they hold the sum of a value over the images that have one, the number of these
  images, and the number of images whose ground truth has the label. Arrays (..., 2, K) lack the last number.

The leading axes (...) are free: images, conditions, bootstrap replicates, or none for one test set. The sum of the counts of images is the
counts of all these images. A score that is not defined is NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Counts = NDArray[Any]
LabelSelection = Callable[[Counts], NDArray[np.bool_]]

COUNTED = ("both", "truth", "predicted")
"""The entries of the second to last axis of counts, and the prefixes of the columns of saved rows."""

# The names of the arrays that metrics take; `metrics.row_counts` makes them from rows. An array of image values has the name of the value.
ACTIVITIES = "activities"
MODAL = "modal_activity"
CALIBRATION = "calibration"
PIXELS = "pixels"
MISSING = "missing_surfaces"
ROW_HD = "row_hd"
LABEL_MAP_SSIM = "label_map_ssim"
IOU_BY_ACTIVITY = "iou_by_activity"


def counts_of_confusion(confusion: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the counts of labels (..., 3, K) of a confusion matrix (..., K, K) whose rows are the ground truth."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    return np.stack([hits, confusion.sum(axis=-1), confusion.sum(axis=-2)], axis=-2)


def in_truth(counts: Counts) -> NDArray[np.bool_]:
    """Return whether each label occurs in the ground truth: (..., 3, K) to (..., K)."""
    return np.asarray(counts[..., 1, :] > 0)


def in_either(counts: Counts) -> NDArray[np.bool_]:
    """Return whether each label occurs in the ground truth or the prediction: (..., 3, K) to (..., K)."""
    return np.asarray((counts[..., 1, :] > 0) | (counts[..., 2, :] > 0))


def share(part: Counts, whole: Counts, where: NDArray[np.bool_] | bool = True) -> Array:
    """Return part / whole; NaN where whole is not above 0 or `where` is False."""
    part, whole = np.broadcast_arrays(part, whole)
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=(whole > 0) & where)


def mean_of_known(values: Array) -> Array:
    """Return the mean over the last axis of all values that are not NaN; NaN if all values are NaN."""
    known = ~np.isnan(values)
    return share(np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1))


def accuracy(counts: Counts) -> Array:
    """Return the share of correct predictions: (..., 3, K) to (...)."""
    return share(counts[..., 0, :].sum(axis=-1), counts[..., 1, :].sum(axis=-1))


def iou(counts: Counts, selected: LabelSelection = in_truth) -> Array:
    """Return the intersection over union of each label.

    Args:
        counts: (..., 3, K).
        selected: function from the counts to bool (..., K), True for the labels that have a score.

    Returns:
        (..., K), NaN for the other labels.
    """
    both, truth, predicted = (counts[..., k, :] for k in range(3))
    return share(both, truth + predicted - both, selected(counts))


def dice(counts: Counts, selected: LabelSelection = in_truth) -> Array:
    """Return the Dice coefficient of each label; for activities it is called F1. Arguments and result are those of `iou`."""
    both, truth, predicted = (counts[..., k, :] for k in range(3))
    return share(2 * both, truth + predicted, selected(counts))


def precision(counts: Counts) -> Array:
    """Return the share of each label's predictions that are correct: (..., 3, K) to (..., K); NaN also if there are no predictions."""
    return share(counts[..., 0, :], counts[..., 2, :], in_truth(counts))


def recall(counts: Counts) -> Array:
    """Return the share of each label's ground truth that is predicted: (..., 3, K) to (..., K)."""
    return share(counts[..., 0, :], counts[..., 1, :])


def mean_iou(counts: Counts, selected: LabelSelection = in_truth) -> Array:
    """Return the mean IoU over the selected labels: (..., 3, K) to (...)."""
    return mean_of_known(iou(counts, selected))


def mean_dice(counts: Counts, selected: LabelSelection = in_truth) -> Array:
    """Return the mean Dice coefficient over the selected labels; for activities it is the macro F1: (..., 3, K) to (...)."""
    return mean_of_known(dice(counts, selected))


def without_truth(counts: Counts) -> Array:
    """Return the number of predictions of labels that the ground truth does not have: (..., 3, K) to (...)."""
    return np.asarray(np.where(in_truth(counts), 0, counts[..., 2, :]).sum(axis=-1), np.float64)


def mean_of_images(values: Array) -> Array:
    """Return the mean of each label's value over the images that have one: (..., 3, K) to (..., K)."""
    return share(values[..., 0, :], values[..., 1, :])


def mean_of_labels(values: Array) -> Array:
    """Return the mean of `mean_of_images` over the labels with ground truth: (..., 3, K) to (...)."""
    return mean_of_known(np.where(values[..., 2, :] > 0, mean_of_images(values), np.nan))
