"""What the released code of EndoARSS computes under the names of its tables, one function each.

Source: LibMTL/eva.py, LibMTL/trainer.py (mtl_test) and std.py of the authors' repository (commit 1a6efbd). Every ratio there has 1e-3
added to its divisor, so that a class that never occurs counts 0, and perfect answers come out below 100 %.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from endoarss.metrics.ignored import leave_out_ignored
from endoarss.metrics.structural import mean_structural_similarity

EPSILON = 1e-3

Floats = NDArray[np.float64]


def precision_eps(confusion: NDArray[np.int64]) -> Floats:
    """Precision of each class, (K, K) to (K,). Its mean over all classes is the "accuracy" of the paper's tables: 99.99 for
    answers without an error."""
    hits, _, answers = _hits_truth_answers(confusion)
    return hits / (answers + EPSILON)


def recall_eps(confusion: NDArray[np.int64]) -> Floats:
    """Recall of each class, (K, K) to (K,)."""
    hits, truth, _ = _hits_truth_answers(confusion)
    return hits / (truth + EPSILON)


def f_eps(confusion: NDArray[np.int64]) -> Floats:
    """F-score of each class, (K, K) to (K,). The epsilon enters thrice: in precision, in recall, and in what divides them. Its mean
    over all classes is the "F-score" of the paper's tables: 99.95 for answers without an error."""
    precision, recall = precision_eps(confusion), recall_eps(confusion)
    return 2 * precision * recall / (precision + recall + EPSILON)


def iou_absent_zero(counts: NDArray[np.int64]) -> Floats:
    """IoU of each class from counts (3, C) as `pixel_counts` gives them; 0 for a class without truth. The paper's "mIoU" is its
    mean over all C classes, background included."""
    both, truth, prediction = counts.astype(np.float64)
    return both / (truth + prediction - both + EPSILON)


def dice_absent_zero(counts: NDArray[np.int64]) -> Floats:
    """Dice of each class from counts (3, C); 0 for a class without truth. The paper's "Dice" is its mean over all C classes."""
    both, truth, prediction = counts.astype(np.float64)
    return 2 * both / (truth + prediction + EPSILON)


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


def spread_of_accuracy(confusion: NDArray[np.int64]) -> float:
    """The "±" of accuracy in the paper's Table V: standard deviation, over all activities, of the share of each that is found."""
    hits, truth, _ = _hits_truth_answers(confusion)
    return float(np.std(np.divide(hits, truth, out=np.zeros_like(hits), where=truth > 0)))


def spread_of_iou(backgrounds: NDArray[np.int64], activities: NDArray[np.int64], kinds: int) -> float:
    """The "±" of mIoU in the paper's Table V: standard deviation, over all activities, of the mean IoU of everything that is not
    background in the images of each.

    Args:
        backgrounds: (N, 4), of each image the background pixels in both masks, in truth, in prediction, and all pixels.
        activities: (N,), true ones. kinds: K. One without images counts 0, an image without foreground 1.
    """
    both, truth, prediction, pixels = backgrounds.astype(np.float64).T
    overlap, union = pixels - truth - prediction + both, pixels - both
    iou = np.divide(overlap, union, out=np.ones_like(union), where=union > 0)
    totals, counts = np.bincount(activities, iou, kinds), np.bincount(activities, minlength=kinds)
    return float(np.std(totals / np.maximum(counts, 1)))


def _hits_truth_answers(confusion: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
    matrix = confusion.astype(np.float64)
    return np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
