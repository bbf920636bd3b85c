"""The metrics of the protocol `authors_code`: what the authors' code of EndoARSS computes for each column of its tables.

Source: LibMTL/eva.py, LibMTL/trainer.py (mtl_test) and std.py of the authors' repository (commit 1a6efbd). Every ratio there adds 1e-3 to
its divisor (accuracy 1e-8). So a class that never occurs counts as 0, and perfect predictions score below 100 %. `metrics.counts` explains
the arrays of counts, (..., 3, K) for K activities and (..., 3, C) for C classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from endoarss.metrics.counts import Array, Counts, mean_of_images, recall, share
from endoarss.metrics.ignored import leave_out_ignored
from endoarss.metrics.structural import mean_structural_similarity

EPSILON = 1e-3
EPSILON_OF_ACCURACY = 1e-8


def accuracy_eps(counts: Counts) -> Array:
    """Return the authors' "Acc" of each label, which is its precision: (..., 3, K) to (..., K).

    The paper's "accuracy" is the mean over all activities. Perfect predictions give 100.00, not the 99.99 of Table II.
    """
    return counts[..., 0, :] / (counts[..., 2, :] + EPSILON_OF_ACCURACY)


def precision_eps(counts: Counts) -> Array:
    """Return the precision of each label, (..., 3, K) to (..., K).

    The mean over all activities is the authors' "Precision", which the paper does not print.
    """
    return counts[..., 0, :] / (counts[..., 2, :] + EPSILON)


def recall_eps(counts: Counts) -> Array:
    """Return the recall of each label, (..., 3, K) to (..., K)."""
    return counts[..., 0, :] / (counts[..., 1, :] + EPSILON)


def f_eps(counts: Counts) -> Array:
    """Return the F-score of each label, (..., 3, K) to (..., K).

    The epsilon is added three times: in precision, in recall, and in the divisor of both. The "F-score" of the paper's tables is the mean
    over all activities; perfect predictions give 99.95.
    """
    precision, recall = precision_eps(counts), recall_eps(counts)
    return 2 * precision * recall / (precision + recall + EPSILON)


def iou_absent_zero(counts: Counts) -> Array:
    """Return the IoU of each class, (..., 3, C) to (..., C); 0 for a class without ground truth.

    The paper's "mIoU" is the mean over all C classes, background included.
    """
    both, truth, predicted = (counts[..., k, :] for k in range(3))
    return both / (truth + predicted - both + EPSILON)


def dice_absent_zero(counts: Counts) -> Array:
    """Return the Dice coefficient of each class, (..., 3, C) to (..., C); 0 for a class without ground truth.

    The paper's "Dice" is the mean over all C classes.
    """
    return 2 * counts[..., 0, :] / (counts[..., 1, :] + counts[..., 2, :] + EPSILON)


def row_hd(truth: NDArray[np.uint8], prediction: NDArray[np.uint8]) -> float:
    """Return the Hausdorff distance of two label maps (H, W). Each row of a map is taken as one point with W coordinates.

    The distance therefore measures class ids, not pixels. The paper's "HD" is the mean over the images. Ignored pixels are background in
    both maps.
    """
    truth, prediction, _ = leave_out_ignored(truth, prediction)
    true_rows, predicted_rows = truth.astype(np.float64), prediction.astype(np.float64)
    # The values are integers, so the expanded square is exact; it needs only one matrix product.
    squares = (
        (true_rows**2).sum(axis=1)[:, None] + (predicted_rows**2).sum(axis=1)[None] - 2 * true_rows @ predicted_rows.T
    )
    return float(np.sqrt(max(squares.min(axis=1).max(), squares.min(axis=0).max())))


def label_map_ssim(truth: NDArray[np.uint8], prediction: NDArray[np.uint8]) -> float:
    """Return the SSIM of two label maps (H, W). Class ids are the grey values; the prediction's largest minus smallest id is their range.

    The SSIM is NaN if the prediction has only one class (the range is then 0), and for maps smaller than 7x7. The paper's "SSIM" is the
    mean over the images without NaN. Ignored pixels are left out as in `metrics.structural`, and also from the range.
    """
    truth, prediction, ignored = leave_out_ignored(truth, prediction)
    counted = prediction if ignored is None else prediction[~ignored]
    span = int(counted.max()) - int(counted.min()) if counted.size else 0
    return mean_structural_similarity(truth, prediction, span, ignored) if span else float("nan")


def spread_of_accuracy(counts: Counts) -> Array:
    """Return the "±" of accuracy in the paper's Table V: the standard deviation of recall over all activities, (..., 3, K) to (...).

    An activity without images counts as 0.
    """
    return np.std(np.nan_to_num(recall(counts)), axis=-1)


def image_iou(pixels: Counts) -> Array:
    """Return the IoU of the foreground as one class, (..., 3, C) to (...); 1 if neither mask has foreground."""
    both, truth, predicted = (pixels[..., k, 0] for k in range(3))
    image = pixels[..., 1, :].sum(axis=-1)
    iou = share(image - truth - predicted + both, image - both)
    return np.where(np.isnan(iou), 1.0, iou)


def spread_of_iou(values: Array) -> Array:
    """Return the "±" of mIoU in the paper's Table V: the standard deviation over all activities of the mean `image_iou` of their images.

    Args:
        values: (..., 2, K): for each activity the sum of `image_iou` over its images, and their number. An activity without images counts
            as 0.
    """
    return np.std(np.nan_to_num(mean_of_images(values)), axis=-1)
