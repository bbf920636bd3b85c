"""Pixels that count nowhere: those whose true value is `IGNORED`, whatever is predicted there."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from endoarss.arrays import to_numpy
from endoarss.labels import IGNORED

Mask = NDArray[np.uint8]


def leave_out_ignored(
    truth: ArrayLike, prediction: ArrayLike, classes: int = IGNORED
) -> tuple[Mask, Mask, NDArray[np.bool_] | None]:
    """Set both masks to the background where the truth is ignored; what is given stays as it is.

    Args:
        truth: mask of integers (..., H, W), as an array or a torch tensor.
        prediction: mask of integers, of the same shape.
        classes: how many classes there are; with more than 255 the value 255 is one of them, and nothing is ignored.

    Returns:
        Truth, prediction, and where the truth is ignored, bool (..., H, W); None where no pixel is.
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
