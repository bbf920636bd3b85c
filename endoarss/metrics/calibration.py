"""Expected calibration error (ECE): the difference between a model's confidence and its accuracy."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from endoarss.arrays import to_numpy
from endoarss.metrics.counts import Array, share

BINS = 15


def expected_calibration_error(confidence: ArrayLike, correct: ArrayLike, bins: int = BINS) -> float:
    """Return the ECE: the distance between mean confidence and accuracy in each of M bins, averaged over all images.

    Guo, Pleiss, Sun and Weinberger, On Calibration of Modern Neural Networks, ICML 2017, eq. 3. The bins have equal width; bin m has the
    confidences in ((m - 1)/M, m/M].

    Args:
        confidence: (N,), the probability of each predicted class, 0 to 1.
        correct: bool (N,), whether each prediction is correct.
        bins: the number of bins M.

    Returns:
        The error, 0 to 1.

    Raises:
        ValueError: if the arguments are not two equal, non-empty (N,), or a confidence lies outside 0 to 1.
    """
    confidences, correctness = (np.asarray(to_numpy(values), np.float64) for values in (confidence, correct))
    if confidences.shape != correctness.shape or confidences.ndim != 1 or confidences.size == 0:
        raise ValueError(
            f"confidences of shape {confidences.shape}, correctness of {correctness.shape}; expected the same shape (N,), N > 0."
        )
    return float(calibration_error(calibration_gaps(confidences, correctness, bins).sum(axis=0)))


def calibration_gaps(confidence: NDArray[np.float64], correct: NDArray[np.float64], bins: int = BINS) -> Array:
    """Return the two values per image and bin from which the ECE is computed: (..., N) to (..., N, 2, M).

    In the bin of an image's confidence the values are confidence minus correctness, and 1. In all other bins they are 0.

    Args:
        confidence: (..., N), 0 to 1.
        correct: (..., N), 1 where the prediction is correct, otherwise 0.
        bins: the number of bins M.

    Raises:
        ValueError: if a confidence lies outside 0 to 1.
    """
    if not ((confidence >= 0) & (confidence <= 1)).all():
        raise ValueError("some confidences are outside 0..1; expected probabilities.")
    places = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    within = (places[..., None] == np.arange(bins)).astype(np.float64)
    return np.stack([within * (confidence - correct)[..., None], within], axis=-2)


def calibration_error(gaps: Array) -> Array:
    """Return the ECE of summed `calibration_gaps`: (..., 2, M) to (...)."""
    return share(np.abs(gaps[..., 0, :]).sum(axis=-1), gaps[..., 1, :].sum(axis=-1))
