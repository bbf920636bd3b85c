"""Computes intervals and p-values from the variation of scores over test images and trainings, with the jackknife and Student's t.

A varied value is an array (R, ...). Its first row is the estimate. Each other row is a replicate: the same value, computed without one
unit or without one training of a model. A unit is a sequence, or a single image of unknown sequence. A model has one training per seed.

The variance over units and the variance over trainings are added, because this sum is never too small for crossed effects (Owen 2007,
The pigeonhole bootstrap). The degrees of freedom follow Satterthwaite (1946). docs/statistics.md compares the method with the bootstrap.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

Array = NDArray[np.float64]

COVERAGE = 0.95
"""Confidence level of the intervals."""
MIN_SEQUENCES = 6
"""Smallest number of sequences for a verdict on scores; with fewer, the estimate of the variance is too poor."""
MIN_SEEDS = 3
"""Smallest number of seeds of a model for an estimate of the variation between its trainings."""
_TOO_NARROW = "if some are frames of one video, these intervals are too narrow."
# Smaller differences are rounding errors.
_ROUNDING_ERROR = 1e-12


@dataclass(frozen=True)
class Variation:
    """The units and trainings that the replicates of varied values leave out.

    Attributes:
        units: Number U of units; each of the rows 1 to U leaves out one unit. It is 0 if there is only one unit, which shows no variation.
        seeds: Number of trainings of each group, by name of the group; models of one group share their trainings. Each row after the
            units leaves out one training, group after group.
    """

    units: int = 0
    seeds: Mapping[str, int] = field(default_factory=dict)

    def vary(self, scores: Array, training_group: str) -> Array:
        """Return the mean score over the trainings of a model as a varied value.

        Args:
            scores: Array (K, 1 + U, ...), the scores of each of the K trainings: on all units, then without each unit.
            training_group: Name of the model's group of trainings; rows that leave out a training of another group repeat the estimate.

        Returns:
            Array (R, ...).
        """
        mean = scores.mean(axis=0)
        varied = np.repeat(mean[:1], 1 + self.units + sum(self.seeds.values()), axis=0)
        varied[: 1 + self.units] = mean[: 1 + self.units]
        start = 1 + self.units
        for name, seeds in self.seeds.items():
            if name == training_group:
                varied[start : start + seeds] = (scores[:, 0].sum(axis=0) - scores[:, 0]) / (seeds - 1)
            start += seeds
        return varied

    def spread(self, varied: Array) -> tuple[Array, Array]:
        """Return the standard error and the degrees of freedom of varied values.

        Args:
            varied: Array (R, ...).

        Returns:
            Two arrays (...), NaN if there are no replicates.
        """
        variance, squares = np.zeros(varied.shape[1:]), np.zeros(varied.shape[1:])
        blocks = list(self._blocks(varied))
        for block in blocks:
            own = (len(block) - 1) / len(block) * ((block - block.mean(axis=0)) ** 2).sum(axis=0)
            variance += own
            squares += own**2 / (len(block) - 1)
        if not blocks:
            return np.full(variance.shape, np.nan), np.full(variance.shape, np.nan)
        exact = np.sqrt(variance) < _ROUNDING_ERROR
        degrees = np.divide(variance**2, squares, out=np.ones(variance.shape), where=~exact)
        return np.where(exact, 0.0, np.sqrt(variance)), degrees

    def _blocks(self, varied: Array) -> Iterator[Array]:
        """Yield the rows that leave out a unit, then those of each group of trainings."""
        start = 1
        for count in (self.units, *self.seeds.values()):
            if count:
                yield varied[start : start + count]
            start += count


@dataclass(frozen=True)
class Gap:
    """The best score of one group of models minus the best score of another group.

    Attributes:
        difference: The estimate.
        low: Lower end of the interval, NaN if there are no replicates.
        high: Upper end of the interval, NaN if there are no replicates.
        p: Two-sided p-value of no difference, NaN if there are no replicates.
    """

    difference: float
    low: float
    high: float
    p: float


def interval(varied: Array, variation: Variation) -> tuple[Array, Array]:
    """Return the t intervals of varied values.

    Args:
        varied: Array (R, ...).
        variation: The units and trainings that its replicates leave out.

    Returns:
        Lower and upper ends, two arrays (...), NaN if there are no replicates.
    """
    error, degrees = variation.spread(varied)
    half = stdtrit(degrees, (1 + COVERAGE) / 2) * error
    return varied[0] - half, varied[0] + half


def with_interval(varied: Array, variation: Variation) -> tuple[float, float, float]:
    """Return the estimate of one varied value and its interval.

    Args:
        varied: Array (R,).
        variation: The units and trainings that its replicates leave out.

    Returns:
        The estimate, and the lower and upper end of its interval.
    """
    low, high = interval(varied, variation)
    return float(varied[0]), float(low), float(high)


def p_values(gaps: Array, variation: Variation) -> Array:
    """Return the two-sided p-values of no difference, not adjusted for the number of tests.

    Args:
        gaps: Array (R, ...) of differences.
        variation: The units and trainings that its replicates leave out.

    Returns:
        Array (...), NaN if there are no replicates.
    """
    lower, higher = _tails(gaps, variation)
    return np.asarray(2 * np.minimum(lower, higher))


def _tails(gaps: Array, variation: Variation) -> tuple[Array, Array]:
    """Return the one-sided p-values of the hypotheses "not above 0" and "not below 0" about gaps (R, ...), two arrays (...)."""
    error, degrees = variation.spread(gaps)
    estimate = np.where(np.abs(gaps[0]) < _ROUNDING_ERROR, 0.0, gaps[0])
    certain = np.where(estimate == 0, 0.0, np.copysign(np.inf, estimate))
    t = np.divide(estimate, error, out=certain, where=error != 0)
    return stdtr(degrees, -t), stdtr(degrees, t)


def gap_of_best(gaps: Array, variation: Variation) -> Gap:
    """Return the best score of n models minus the best score of m other models.

    The estimate compares the models with the best scores. The interval does not assume that these are truly the best (multiple
    comparisons with the best, Hsu 1984, with Bonferroni's bounds). It says: one model i exceeds every model j by at least the lower end,
    and there is a model j that no model i exceeds by more than the upper end. For n = m = 1 it is the t interval. Resampling the maximum
    instead would find too many differences if several models are equally good.

    Args:
        gaps: Array (R, n, m), score of model i minus score of other model j; higher is better.
        variation: The units and trainings that its replicates leave out.

    Returns:
        The difference with its interval and p-value.
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
    """Return p-values that are adjusted for the number of tests (Holm 1979).

    Args:
        p_values: Array (n,); NaN means not tested.

    Returns:
        Array (n,); NaN stays NaN.
    """
    adjusted = np.full(p_values.shape, np.nan)
    order = [i for i in np.argsort(p_values) if not np.isnan(p_values[i])]
    highest = 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * float(p_values[i])))
        adjusted[i] = highest
    return adjusted


@dataclass(frozen=True)
class IntervalNote:
    """What the intervals of a dataset are computed over.

    Attributes:
        dataset: Title of the dataset.
        interval_over: The number of its sequences and images, in words.
        trained: What the intervals say about trainings, in words; "" if there are no intervals.
        sequences_known: Whether the sequence of every image is known.
    """

    dataset: str
    interval_over: str
    trained: str
    sequences_known: bool


def note_of_intervals(dataset: str, interval_over: str, variation: Variation, sequences_known: bool) -> IntervalNote:
    """Return what the intervals of a dataset are computed over.

    Args:
        dataset: Title of the dataset.
        interval_over: The number of its sequences and images, in words.
        variation: The units and trainings that the replicates leave out.
        sequences_known: Whether the sequence of every image is known.
    """
    seeds = " or ".join(map(str, sorted(set(variation.seeds.values()))))
    trained = (
        f", and over {seeds} trainings of each model that has {MIN_SEEDS} or more."
        if seeds
        else f". They hold only for these trained models: with fewer than {MIN_SEEDS} seeds, chance in the trainings is not included."
    )
    return IntervalNote(dataset, interval_over, trained if variation.units else "", sequences_known)


def say_intervals(notes: Iterable[IntervalNote]) -> str:
    """Return a text that says what intervals are computed over, and warns of intervals over images of unknown sequence.

    Args:
        notes: The notes of the datasets.

    Returns:
        A sentence for all datasets of which the same can be said, and the warning.
    """
    distinct = list(dict.fromkeys(notes))
    groups: dict[str, list[str]] = {}
    for note in distinct:
        if note.trained:
            groups.setdefault(note.trained, []).append(f"{note.interval_over} ({note.dataset})")
    said = [
        f"The intervals are {100 * COVERAGE:.0f} % t intervals over {', '.join(units)}{trained}"
        for trained, units in groups.items()
    ]
    said += ["Models are compared on the same images."] if groups else []
    said += [f"{n.dataset}: no intervals, because there is only {n.interval_over}." for n in distinct if not n.trained]
    unknown = dict.fromkeys(note.dataset for note in distinct if note.trained and not note.sequences_known)
    said += (
        [f"Images of unknown sequence ({'; '.join(unknown)}) count as independent: {_TOO_NARROW}"] if unknown else []
    )
    return " ".join(said)
