"""Intervals by bootstrap: units are drawn with replacement and every score is computed again from their summed counts.

Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13 (percentile intervals). A replicate is a row of weights,
how often each unit was drawn, so that all replicates of a sum are one product of matrices. The first row is all ones: the
units as they are, whose score is the estimate.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

REPLICATES = 1000
COVERAGE = 0.95


def draw_weights(units: int, replicates: int, seed: int) -> Array:
    """How often each unit is in each replicate: (1 + replicates, units), the first row ones.

    A single unit tells nothing of how units vary: it has no replicates, so no interval.
    """
    if units < 2:
        return np.ones((1, units))
    drawn = np.random.default_rng(seed).multinomial(units, np.full(units, 1 / units), size=replicates)
    return np.concatenate([np.ones((1, units)), drawn])


def interval(replicates: Array) -> tuple[Array, Array]:
    """The percentile interval of each value, estimate in the first row: (1 + R, ...) to two of (...).

    NaN where the estimate is undefined, where a larger share of replicates is undefined than the interval leaves out, and
    without replicates.
    """
    estimate, drawn = replicates[0], replicates[1:]
    if not len(drawn):
        return np.full(estimate.shape, np.nan), np.full(estimate.shape, np.nan)
    ends = [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2]
    found = np.asarray(np.quantile(drawn, ends, axis=0))  # NaN where a replicate is
    partly = np.isnan(found[0])
    if partly.any():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # all-NaN columns are NaN, as wanted
            found[:, partly] = np.nanquantile(drawn[:, partly], ends, axis=0)
    low, high = found
    unknown = np.isnan(estimate) | (np.isnan(drawn).mean(axis=0) > 1 - COVERAGE)
    return np.where(unknown, np.nan, low), np.where(unknown, np.nan, high)


def with_interval(replicates: Array) -> tuple[float, float, float]:
    """The estimate of one value, and the ends of its interval, NaN where there is none: (1 + R,) to three numbers."""
    low, high = interval(replicates)
    return float(replicates[0]), float(low), float(high)


def with_brackets(value: float, low: float, high: float, sign: str = "", digits: int = 1) -> str:
    """A number with its interval as readers see it, "88.3 [85.7, 90.7]"; "-" for none."""
    if np.isnan(value):
        return "-"
    shown = f"{value:{sign}.{digits}f}"
    return shown if np.isnan(low) else f"{shown} [{low:{sign}.{digits}f}, {high:{sign}.{digits}f}]"


def note_of_intervals(dataset: str, units: str, replicates: int) -> str:
    """What the intervals of a dataset are over, in a sentence. units: what a replicate draws, in words."""
    if not replicates:
        return f"{dataset}: no intervals, for there is {units} alone."
    return f"{dataset}: {100 * COVERAGE:.0f} % intervals by bootstrap over {units}, {replicates:,} replicates, paired across models."


def ratio(above: Any, below: Any) -> Array:
    """above / below, NaN where below is not positive (rounding aside)."""
    above, below = np.broadcast_arrays(np.asarray(above, np.float64), np.asarray(below, np.float64))
    return np.divide(above, below, out=np.full(below.shape, np.nan), where=below > 1e-12)
