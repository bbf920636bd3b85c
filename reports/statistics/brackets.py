"""Formats numbers with their intervals for tables; intervals are clipped to the possible range of the number."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

# The lowest and the highest value of shares (percent), differences of shares (percentage points), ratios, and other numbers.
SHARE, SHARE_DIFFERENCE, POSITIVE, ANY = (0.0, 100.0), (-100.0, 100.0), (0.0, np.inf), (-np.inf, np.inf)

# Quantities of the robustness summary that are not limited to 0 to 100 %: rPC and retention may exceed 100 %, relative corruption errors
# may have any sign.
_LIMITS = dict.fromkeys(("rPC", "category_rPC", "retention", "retention_area", "CE", "mCE"), POSITIVE) | dict.fromkeys(
    ("relative_CE", "relative_mCE"), ANY
)


def limits_of(quantity: str) -> tuple[float, float]:
    """Return the lowest and the highest possible value, in percent, of a quantity of the robustness summary."""
    return _LIMITS.get(quantity, SHARE)


def clipped(ends: NDArray[np.float64], limits: tuple[float, float]) -> NDArray[np.float64]:
    """Return the ends of intervals, clipped to the lowest and the highest possible value; NaN stays NaN."""
    return np.clip(ends, *limits)


def with_brackets(
    value: float, low: float, high: float, sign: str = "", digits: int = 1, limits: tuple[float, float] = ANY
) -> str:
    """Return a number with its interval, "88.3 [85.7, 90.7]", or "-" if there is no number.

    Args:
        value: The number, NaN if there is none.
        low: Lower end of its interval, NaN if there is none.
        high: Upper end of its interval.
        sign: "+" if positive numbers are shown with their sign.
        digits: Number of decimals.
        limits: Lowest and highest possible value; the ends of the interval are clipped to them.

    Returns:
        The text.
    """
    if np.isnan(value):
        return "-"
    shown = _shown(value, sign, digits)
    if np.isnan(low):
        return shown
    low, high = clipped(np.array([low, high]), limits)
    return f"{shown} [{_shown(low, sign, digits)}, {_shown(high, sign, digits)}]"


def _shown(number: float, sign: str, digits: int) -> str:
    """Return a rounded number; a rounded zero has no sign."""
    text = f"{number:{sign}.{digits}f}"
    return text if float(text) else text.lstrip("+-")


def with_sequences(dataset: str, interval_over: Mapping[str, str]) -> str:
    """Return the title of a dataset with the number of its sequences or images, such as "MTLEndovis, 14 sequences".

    Args:
        dataset: Title of the dataset.
        interval_over: By dataset, the sequences and images that its intervals are computed over, in words.

    Returns:
        The text.
    """
    return f"{dataset}, {interval_over[dataset]}" if interval_over.get(dataset) else dataset
