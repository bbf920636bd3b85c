"""How far a model's confidence can be believed."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

BINS = 15


def expected_calibration_error(confidence: ArrayLike, correct: ArrayLike, bins: int = BINS) -> float:
    """ECE in [0, 1]: the distance between mean confidence and accuracy in bins of equal width, weighted by their images.

    Guo, Pleiss, Sun and Weinberger, On Calibration of Modern Neural Networks, ICML 2017, eq. 3; bin m holds confidences in ((m - 1)/M,
    m/M].

    Args:
        confidence: (N,), the probability given to the answer, 0 to 1. correct: bool (N,). bins: M.

    Raises:
        ValueError: if they differ in number, are none, or a confidence lies outside 0 to 1.
    """
    given, right = np.asarray(confidence, np.float64), np.asarray(correct, np.float64)
    if given.shape != right.shape or given.ndim != 1 or given.size == 0:
        raise ValueError(
            f"confidences of shape {given.shape}, answers of {right.shape}; expected two equal, non-empty (N,)."
        )
    if not (given.min() >= 0 and given.max() <= 1):
        raise ValueError("confidences outside 0..1.")
    places = np.clip(np.ceil(given * bins).astype(np.int64) - 1, 0, bins - 1)
    gaps = np.bincount(places, given - right, bins)
    return float(np.abs(gaps).sum() / given.size)
