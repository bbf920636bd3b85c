"""How far scores vary with test images and with trainings: variances by jackknife, intervals and p-values by Student's t.

A varied value is an array (R, ...). Its first row is the estimate; in each further row one sequence (or one image whose sequence is not
known), or one training of a model, is left out. Both kinds are counted in the variance (Owen 2007, The pigeonhole bootstrap: their sum is
never too small for crossed effects), and the degrees of freedom follow Satterthwaite (1946). docs/statistics.md compares the method with
the bootstrap, which decides too often where there are few sequences.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

Array = NDArray[np.float64]

COVERAGE = 0.95
MIN_CLUSTERS = 6
"""Of fewer sequences a verdict would rest on an estimate of variance that is hardly one."""
MIN_SEEDS = 3
"""Of fewer trainings of a model it is not estimated how trainings vary."""
# Differences below this come of the order of sums.
_NOTHING = 1e-12


@dataclass(frozen=True)
class Variation:
    """What the rows of varied values leave out.

    Attributes:
        units: The sequences or images, U, one in each of the rows 1 to U; 0 where there is one alone, which shows no variation.
        trainings: By the name of what is trained the number of its seeds, one in each of the rows that follow.
    """

    units: int = 0
    trainings: Mapping[str, int] = field(default_factory=dict)

    def vary(self, runs: Array, training: str) -> Array:
        """Return the mean score over the trainings of a model as a varied value.

        Args:
            runs: (K, 1 + U, ...), the score of each training, from all units and without each.
            training: Name of the trainings; what it does not vary with, being too few, keeps the estimate.

        Returns:
            (R, ...).
        """
        mean = runs.mean(axis=0)
        varied = np.repeat(mean[:1], 1 + self.units + sum(self.trainings.values()), axis=0)
        varied[: 1 + self.units] = mean[: 1 + self.units]
        first = 1 + self.units
        for name, seeds in self.trainings.items():
            if name == training:
                varied[first : first + seeds] = (runs[:, 0].sum(axis=0) - runs[:, 0]) / (seeds - 1)
            first += seeds
        return varied

    def spread(self, varied: Array) -> tuple[Array, Array]:
        """Return the standard error and the degrees of freedom of varied values: (R, ...) to two of (...), NaN where nothing varies."""
        variance, squares = np.zeros(varied.shape[1:]), np.zeros(varied.shape[1:])
        blocks = list(self._blocks(varied))
        for block in blocks:
            own = (len(block) - 1) / len(block) * ((block - block.mean(axis=0)) ** 2).sum(axis=0)
            variance += own
            squares += own**2 / (len(block) - 1)
        if not blocks:
            return np.full(variance.shape, np.nan), np.full(variance.shape, np.nan)
        exact = np.sqrt(variance) < _NOTHING
        degrees = np.divide(variance**2, squares, out=np.ones(variance.shape), where=~exact)
        return np.where(exact, 0.0, np.sqrt(variance)), degrees

    def _blocks(self, varied: Array) -> Iterator[Array]:
        first = 1
        for count in (self.units, *self.trainings.values()):
            if count:
                yield varied[first : first + count]
            first += count


@dataclass(frozen=True)
class Gap:
    """How far the best of some models is from the best of others.

    Attributes:
        difference: The estimate.
        low, high: Ends of its interval, NaN where nothing varies.
        p: Two-sided p-value of no difference, NaN likewise.
    """

    difference: float
    low: float
    high: float
    p: float


def interval(varied: Array, variation: Variation) -> tuple[Array, Array]:
    """Return the ends of the t intervals of varied values: (R, ...) to two of (...), NaN where there are none."""
    error, degrees = variation.spread(varied)
    half = stdtrit(degrees, (1 + COVERAGE) / 2) * error
    return varied[0] - half, varied[0] + half


def score_interval(varied: Array, variation: Variation, highest: float = np.inf) -> tuple[Array, Array]:
    """Return the `interval` of scores that are not below 0 and not above the highest there is."""
    low, high = interval(varied, variation)
    return np.maximum(low, np.minimum(varied[0], 0)), np.minimum(high, np.maximum(varied[0], highest))


def with_interval(varied: Array, variation: Variation) -> tuple[float, float, float]:
    """Return the estimate of one varied value (R,), and the ends of its interval."""
    low, high = interval(varied, variation)
    return float(varied[0]), float(low), float(high)


def p_values(gaps: Array, variation: Variation) -> Array:
    """Return the two-sided p-values of no difference, each by itself: (R, ...) to (...), NaN where nothing varies."""
    lower, higher = _tails(gaps, variation)
    return np.asarray(2 * np.minimum(lower, higher))


def _tails(gaps: Array, variation: Variation) -> tuple[Array, Array]:
    """The p-values of "not above 0" and of "not below 0": (R, ...) to two of (...)."""
    error, degrees = variation.spread(gaps)
    estimate = np.where(np.abs(gaps[0]) < _NOTHING, 0.0, gaps[0])
    certain = np.where(estimate == 0, 0.0, np.copysign(np.inf, estimate))
    t = np.divide(estimate, error, out=certain, where=error != 0)
    return stdtr(degrees, -t), stdtr(degrees, t)


def gap_of_best(gaps: Array, variation: Variation) -> Gap:
    """Return the best of n models minus the best of m others.

    Which are the best is not known: the estimate takes those that look best, the interval takes none for it. By its lower end some model
    is better than each other, by its upper end some other is better than each model (multiple comparisons with the best, Hsu 1984, with
    Bonferroni's bounds). A resampled maximum would not keep its level where several are equally good. Of one and one it is the t interval.

    Args:
        gaps: (R, n, m), score i minus score j, the higher the better.
        variation: Of these.
    """
    _, own, others = gaps.shape
    error, degrees = variation.spread(gaps)
    tail = (1 - COVERAGE) / 2
    low = (gaps[0] - stdtrit(degrees, 1 - tail / own) * error).min(axis=1).max()
    high = (gaps[0] + stdtrit(degrees, 1 - tail / others) * error).max(axis=0).min()
    lower, higher = _tails(gaps, variation)
    better, worse = own * lower.max(axis=1).min(), others * higher.max(axis=0).min()
    p = min(1.0, 2 * better, 2 * worse) if np.isfinite(better + worse) else np.nan
    return Gap(float(gaps[0].min(axis=1).max()), float(low), float(high), float(p))


def holm(p_values: Array) -> Array:
    """Return p-values adjusted for how many there are (Holm 1979): (n,) to (n,); NaN is no test and stays."""
    adjusted = np.full(p_values.shape, np.nan)
    order = [i for i in np.argsort(p_values) if not np.isnan(p_values[i])]
    highest = 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * float(p_values[i])))
        adjusted[i] = highest
    return adjusted


def note_of_intervals(dataset: str, units: str, variation: Variation) -> str:
    """Return what the intervals of a dataset are over, in a sentence. units: what is left out of a row, in words."""
    if not variation.units:
        return f"{dataset}: no intervals, because there is {units} alone."
    seeds = " or ".join(map(str, sorted(set(variation.trainings.values()))))
    trained = (
        f" and {seeds} trainings of each model that has {MIN_SEEDS} or more"
        if seeds
        else f", for these trained models alone (what other trainings give takes {MIN_SEEDS} seeds)"
    )
    return f"{dataset}: {100 * COVERAGE:.0f} % t intervals over {units}{trained}, paired across models."
