"""Coverage and width of confidence intervals over few sequences: percentile bootstrap, bootstrap-t, and the method of the reports.

    python -m benchmarks.intervals [--studies 400]

It uses one thread. Two models are equally good on average, but differ per sequence (see `benchmarks.simulated_study`). Every other study
has heavy tails. `covers` is the share of the 95 % intervals of their difference that contain 0, and `width` is the median width in points.
CE is the corruption error of one model relative to the other, minus 100.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.simulated_study import ACTIVITIES, CLASSES, IMAGES, MODELS, SimulatedStudy, World
from endoarss.metrics import counts as metrics
from endoarss.metrics.row_counts import counts_of_rows
from reports.statistics.condition_scores import EvaluatedModel, hold_labels
from reports.statistics.variation import Variation, interval

Array = NDArray[np.float64]
Difference = Callable[[Array, bool], Array]
"""A function from weights of sequences (R, U), and whether to hold the labels of the first row, to a difference of two models (R,)."""

SEQUENCES = (3, 5, 14, 30)
SEVERITIES = (0, 2, 4)
REPLICATES, STUDENTISED = 1000, 300  # number of replicates of the percentile bootstrap and of bootstrap-t
# A replicate with a single sequence has the error 0, so t is practically infinite.
_FAR = 1e6
METHODS = ("percentile bootstrap", "bootstrap-t", "t by jackknife")


def differences(sequences: int, seed: int) -> dict[str, Difference]:
    """Return the difference of two models of one simulated study, by metric."""
    world = World(sequences, 1, np.inf if seed % 2 else 3.0, training=0.0)
    study = SimulatedStudy(world, np.random.default_rng(seed))
    one, other = (_counts(study.model(model, SEVERITIES), sequences) for model in MODELS[:2])

    def of(name: str, counts_name: str, score: Callable[[Array], Array]) -> Difference:
        def difference(weights: Array, hold: bool) -> Array:
            scores = [score(_weighted(counts[counts_name], weights, counts_name, hold)) for counts in (one, other)]
            if name == "CE":
                errors = [(1 - values[:, 1:]).sum(axis=1) for values in scores]
                return np.asarray(errors[0] / errors[1] - 1)
            return np.asarray(scores[0][:, 0] - scores[1][:, 0])

        return difference

    return {
        "mIoU": of("mIoU", metrics.PIXELS, metrics.mean_iou),
        "Dice": of("Dice", metrics.PIXELS, metrics.mean_dice),
        "accuracy": of("accuracy", metrics.ACTIVITIES, metrics.accuracy),
        "macro F1": of("macro F1", metrics.ACTIVITIES, metrics.mean_dice),
        "CE": of("CE", metrics.PIXELS, metrics.mean_iou),
    }


def _counts(model: EvaluatedModel, sequences: int) -> dict[str, Array]:
    """Return the counts of each sequence: (U, conditions, 3, L)."""
    (rows,) = model.rows
    columns = {
        str(name): rows[name].to_numpy().reshape(len(SEVERITIES), -1) for name in rows if str(name)[-1].isdigit()
    }
    columns |= {
        name: rows[name].to_numpy().reshape(len(SEVERITIES), -1) for name in ("activity_true", "activity_predicted")
    }
    by_name = counts_of_rows(columns, len(CLASSES), ACTIVITIES, (metrics.PIXELS, metrics.ACTIVITIES))
    starts = np.arange(sequences) * IMAGES
    return {name: np.moveaxis(np.add.reduceat(values, starts, axis=1), 1, 0) for name, values in by_name.items()}


def _weighted(counts: Array, weights: Array, counts_name: str, hold: bool) -> Array:
    """Return weighted sums of counts. If `hold`, all rows get the labels of the first row."""
    summed = (weights @ counts.reshape(len(counts), -1)).reshape(len(weights), *counts.shape[1:])
    if hold:
        hold_labels(summed, counts_name)
    return summed


def without_each(sequences: int) -> Array:
    """Return the weights of all sequences, and of all sequences but one: (1 + U, U)."""
    return np.concatenate([np.ones((1, sequences)), 1 - np.eye(sequences)])


def by_jackknife(difference: Difference, sequences: int) -> tuple[float, float]:
    """Return the interval that the reports use, which is a t interval with the error of the jackknife."""
    low, high = interval(difference(without_each(sequences), True), Variation(sequences))
    return float(low), float(high)


def by_percentiles(difference: Difference, drawn: NDArray[np.int64], sequences: int) -> tuple[float, float]:
    """Return the interval of the percentile bootstrap, which the reports used before."""
    low, high = np.nanquantile(difference(_times(drawn, sequences), False), [0.025, 0.975])
    return float(low), float(high)


def by_studentised(difference: Difference, drawn: NDArray[np.int64], sequences: int) -> tuple[float, float]:
    """Return the bootstrap-t interval. The error of each replicate comes from the jackknife."""
    drawn = drawn[:STUDENTISED]
    times = _times(drawn, sequences)
    without_one = times[:, None] - np.eye(sequences)[drawn]
    all_weights = np.concatenate([np.ones((1, sequences)), times, without_one.reshape(-1, sequences)])
    values = difference(all_weights, True)
    estimate, replicates = values[0], values[1 : 1 + len(drawn)]
    errors = _error(values[1 + len(drawn) :].reshape(len(drawn), -1))
    error = float(_error(difference(without_each(sequences), True)[None, 1:])[0])
    t = np.divide(replicates - estimate, errors, out=_FAR * np.sign(replicates - estimate), where=errors > 1e-12)
    high, low = np.quantile(t, [0.025, 0.975])
    return float(estimate - low * error), float(estimate - high * error)


def _times(drawn: NDArray[np.int64], sequences: int) -> Array:
    """Return how often each sequence was drawn."""
    return np.stack([np.bincount(line, minlength=sequences) for line in drawn]).astype(np.float64)


def _error(without: Array) -> Array:
    """Return the standard error by the jackknife: (R, U) to (R,)."""
    sequences = without.shape[1]
    return np.sqrt((sequences - 1) * without.var(axis=1))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=400)
    studies = parser.parse_args(arguments).studies
    print(f"{'sequences':9} {'metric':9}" + "".join(f" | {method:>22}" for method in METHODS))
    print(f"{'':19}" + " |         covers   width" * len(METHODS))
    for sequences in SEQUENCES:
        intervals: dict[str, list[list[tuple[float, float]]]] = {}
        for seed in range(studies):
            drawn = np.random.default_rng(seed).integers(0, sequences, (REPLICATES, sequences))
            for metric, difference in differences(sequences, seed).items():
                ends = [by_percentiles(difference, drawn, sequences), by_studentised(difference, drawn, sequences)]
                intervals.setdefault(metric, []).append([*ends, by_jackknife(difference, sequences)])
        for metric, rows in intervals.items():
            low, high = np.moveaxis(np.array(rows), 2, 0)
            covers, width = ((low <= 0) & (high >= 0)).mean(axis=0), 100 * np.median(high - low, axis=0)
            cells = "".join(f" | {100 * c:12.1f} % {w:7.1f}" for c, w in zip(covers, width, strict=True))
            print(f"{sequences:9} {metric:9}{cells}", flush=True)


if __name__ == "__main__":
    main()
