"""Structural similarity (SSIM) of masks.

Wang, Bovik, Sheikh and Simoncelli, IEEE TIP 2004, eq. 13, with K1 = 0.01 and K2 = 0.03. Means, variances and covariances are computed over
windows of 7x7 pixels of equal weight; variances and covariances are divided by 48. The result is the mean over all windows that lie in the
image. These are the defaults of scikit-image's structural_similarity.

Ignored pixels are background in both masks, and windows around them are not counted.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from endoarss.metrics.ignored import leave_out_ignored

WINDOW = 7
_MARGIN = WINDOW // 2
_PIXELS = WINDOW**2


def class_structural_similarity(
    truth: NDArray[np.uint8], prediction: NDArray[np.uint8], classes: int
) -> NDArray[np.float64]:
    """Return the structural similarity (SSIM) of the two binary masks of each class, whose values have the range 1.

    Args:
        truth: uint8 mask of one image (H, W), values 0 to classes - 1, or `IGNORED`.
        prediction: uint8 mask (H, W), values 0 to classes - 1.
        classes: the number of classes C, background included.

    Returns:
        float64 (C,), NaN for the background, for a class in neither mask, and for masks without a counted window.
    """
    truth, prediction, ignored = leave_out_ignored(truth, prediction, classes)
    similarity = np.full(classes, np.nan)
    height, width = truth.shape
    if min(height, width) < WINDOW:
        return similarity
    windows = (height - 2 * _MARGIN) * (width - 2 * _MARGIN)
    if ignored is not None:
        windows -= np.count_nonzero(_middles(ignored))
    if windows == 0:
        return similarity
    for index in range(1, classes):
        true_mask, predicted_mask = (truth == index).view(np.uint8), (prediction == index).view(np.uint8)
        left, top, across, down = cv2.boundingRect(true_mask | predicted_mask)
        if across == 0:
            continue
        # A window that touches neither mask has similarity 1, so only the windows around the two are computed.
        rows = slice(max(0, top - 2 * _MARGIN), min(height, top + down + 2 * _MARGIN))
        columns = slice(max(0, left - 2 * _MARGIN), min(width, left + across + 2 * _MARGIN))
        values = _of_windows(_part(true_mask, rows, columns), _part(predicted_mask, rows, columns), 1)
        if ignored is not None:
            values = values[~_middles(_part(ignored, rows, columns))]
        similarity[index] = (values.sum() + windows - values.size) / windows
    return similarity


def _middles(mask: NDArray[Any]) -> NDArray[Any]:
    """Return the middle pixels of all windows that lie in a mask: (H, W) to (H - 6, W - 6)."""
    return mask[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]


def _part(mask: NDArray[Any], rows: slice, columns: slice) -> NDArray[Any]:
    """Return a part of a mask, at least as large as a window."""
    height, width = mask.shape
    top, left = min(rows.start, height - WINDOW), min(columns.start, width - WINDOW)
    return np.ascontiguousarray(mask[top : max(rows.stop, top + WINDOW), left : max(columns.stop, left + WINDOW)])


def mean_structural_similarity(
    first: NDArray[np.uint8], second: NDArray[np.uint8], span: float, ignored: NDArray[np.bool_] | None = None
) -> float:
    """Return the mean SSIM of two images.

    Args:
        first: uint8 (H, W).
        second: uint8 (H, W).
        span: the range of their values, above 0.
        ignored: bool (H, W), pixels whose windows are not counted.

    Returns:
        The mean over the windows; NaN if none is counted.
    """
    if min(first.shape) < WINDOW:
        return float("nan")
    values = _of_windows(np.ascontiguousarray(first), np.ascontiguousarray(second), span)
    if ignored is not None:
        values = values[~_middles(ignored)]
    return float(values.mean()) if values.size else float("nan")


def _of_windows(first: NDArray[np.uint8], second: NDArray[np.uint8], span: float) -> NDArray[np.float64]:
    """Return the SSIM of every window that lies in the images: (H, W) to (H - 6, W - 6). Sums of integers are exact."""
    wide, product = first.astype(np.float32), first.astype(np.float32) * second
    sum_first, sum_second, sum_product = _sums(wide), _sums(second.astype(np.float32)), _sums(product)
    squares = _sums(wide * wide) + _sums(np.square(second, dtype=np.float32))
    mean_first, mean_second = sum_first / _PIXELS, sum_second / _PIXELS
    covariance = (sum_product - _PIXELS * mean_first * mean_second) / (_PIXELS - 1)
    mean_squares = mean_first**2 + mean_second**2
    variances = (squares - _PIXELS * mean_squares) / (_PIXELS - 1)
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    similarity: NDArray[np.float64] = (2 * mean_first * mean_second + c1) * (2 * covariance + c2)
    similarity /= (mean_squares + c1) * (variances + c2)
    return similarity


def _sums(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the sums over all windows: (H, W) to (H - 6, W - 6)."""
    sums = cv2.boxFilter(values, cv2.CV_64F, (WINDOW, WINDOW), normalize=False)
    return _middles(sums)
