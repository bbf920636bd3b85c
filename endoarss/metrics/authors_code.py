"""What the authors' code of EndoARSS computes under the names of its tables, one function each.

Source: LibMTL/eva.py, LibMTL/trainer.py (mtl_test) and std.py of the authors' repository (commit 1a6efbd). Every ratio there has 1e-3
added to its divisor (accuracy 1e-8), so that a class that never occurs counts 0, and perfect answers come out below 100 %.
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
    """Return what the column "Acc" has of each label, (..., 3, K) to (..., K): its precision. Its mean over all activities is the paper's
    "accuracy"; answers without an error give 100.00, not the 99.99 of Table II."""
    return counts[..., 0, :] / (counts[..., 2, :] + EPSILON_OF_ACCURACY)


def precision_eps(counts: Counts) -> Array:
    """Return the precision of each label, (..., 3, K) to (..., K). Its mean is the column "Precision", which the paper does not print."""
    return counts[..., 0, :] / (counts[..., 2, :] + EPSILON)


def recall_eps(counts: Counts) -> Array:
    """Return the recall of each label, (..., 3, K) to (..., K)."""
    return counts[..., 0, :] / (counts[..., 1, :] + EPSILON)


def f_eps(counts: Counts) -> Array:
    """Return the F-score of each label, (..., 3, K) to (..., K). The epsilon enters thrice: in precision, in recall, and in what divides
    them. Its mean over all activities is the "F-score" of the paper's tables: 99.95 for answers without an error."""
    precision, recall = precision_eps(counts), recall_eps(counts)
    return 2 * precision * recall / (precision + recall + EPSILON)


def iou_absent_zero(counts: Counts) -> Array:
    """Return the IoU of each class, (..., 3, C) to (..., C); 0 for a class without truth. The paper's "mIoU" is its mean over all C
    classes, background included."""
    both, truth, predicted = (counts[..., k, :] for k in range(3))
    return both / (truth + predicted - both + EPSILON)


def dice_absent_zero(counts: Counts) -> Array:
    """Return the Dice coefficient of each class, (..., 3, C) to (..., C); 0 for a class without truth. The paper's "Dice" is its mean over
    all C classes."""
    return 2 * counts[..., 0, :] / (counts[..., 1, :] + counts[..., 2, :] + EPSILON)


def row_hd(truth: NDArray[np.uint8], prediction: NDArray[np.uint8]) -> float:
    """Hausdorff distance of two label maps (H, W) whose rows are taken for points of W coordinates: class ids, not pixels, are
    what it measures. The paper's "HD" is its mean over the images. Ignored pixels are background in both."""
    truth, prediction, _ = leave_out_ignored(truth, prediction)
    first, second = truth.astype(np.float64), prediction.astype(np.float64)
    # Whole numbers: the expanded square is exact, and one product of matrices.
    squares = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1)[None] - 2 * first @ second.T
    return float(np.sqrt(max(squares.min(axis=1).max(), squares.min(axis=0).max())))


def label_map_ssim(truth: NDArray[np.uint8], prediction: NDArray[np.uint8]) -> float:
    """SSIM of two label maps (H, W), the class ids taken for grey values and the range of the prediction's for their range.

    NaN for a prediction of one class (its range is 0), and for maps of less than 7x7; the paper's "SSIM" is the mean over the
    images where it is a number. Ignored pixels are left out as in `metrics.structural`, of the prediction's range too.
    """
    truth, prediction, ignored = leave_out_ignored(truth, prediction)
    ranging = prediction if ignored is None else prediction[~ignored]
    span = int(ranging.max()) - int(ranging.min()) if ranging.size else 0
    return mean_structural_similarity(truth, prediction, span, ignored) if span else float("nan")


def spread_of_accuracy(counts: Counts) -> Array:
    """Return the "±" of accuracy in the paper's Table V: standard deviation, over all activities, of the share of each that is found;
    (..., 3, K) to (...). An activity without images counts 0."""
    return np.std(np.nan_to_num(recall(counts)), axis=-1)


def image_iou(pixels: Counts) -> Array:
    """Return the IoU of everything that is not background, (..., 3, C) to (...); 1 without foreground."""
    both, truth, predicted = (pixels[..., k, 0] for k in range(3))
    whole = pixels[..., 1, :].sum(axis=-1)
    found = share(whole - truth - predicted + both, whole - both)
    return np.where(np.isnan(found), 1.0, found)


def spread_of_iou(values: Array) -> Array:
    """Return the "±" of mIoU in the paper's Table V: standard deviation, over all activities, of the mean `image_iou` of the images
    of each.

    Args:
        values: (..., 2, K), its sum over the images of each activity, and their number. An activity without images counts 0.
    """
    return np.std(np.nan_to_num(mean_of_images(values)), axis=-1)
