"""Ignored pixels: those whose true value is `IGNORED`. They are left out of all metrics, whatever is predicted there."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from endoarss.arrays import to_numpy
from endoarss.labels import IGNORED

Mask = NDArray[np.uint8]


def leave_out_ignored(
    truth: ArrayLike, prediction: ArrayLike, classes: int = IGNORED
) -> tuple[Mask, Mask, NDArray[np.bool_] | None]:
    """Return both masks with the background where the ground truth is ignored. The given masks are not changed.

    Args:
        truth: integer mask (..., H, W), as an array or a torch tensor.
        prediction: integer mask of the same shape.
        classes: the number of classes; if it is above 255, the value 255 is a class and nothing is ignored.

    Returns:
        The ground truth, the prediction, and the ignored pixels, bool (..., H, W), or None if no pixel is ignored. The masks are copies if
        a pixel is ignored.
    """
    truth, prediction = to_numpy(truth), to_numpy(prediction)
    if classes > IGNORED or truth.shape != prediction.shape or not truth.size or truth.max() < IGNORED:
        return truth, prediction, None
    ignored = truth == IGNORED
    if not ignored.any():
        return truth, prediction, None
    truth, prediction = truth.copy(), prediction.copy()
    truth[ignored] = prediction[ignored] = 0
    return truth, prediction, ignored
