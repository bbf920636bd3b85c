"""Compares the models of a dataset: every score with its interval, paired differences, and places.

A replicate that leaves out a sequence leaves it out for all models of the dataset (`reports.statistics.variation`). A difference
therefore has its own interval, which may exclude zero although the intervals of the two scores overlap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from endoarss.metrics.catalogue import MAIN, Shown, metrics_by_name, shown_metrics
from reports.errors import ResultsError
from reports.statistics.condition_scores import (
    EvaluatedModel,
    Grid,
    Images,
    grid_of,
    images_of,
    score_model,
    variation_of,
)
from reports.statistics.variation import (
    COVERAGE,
    Array,
    IntervalNote,
    Variation,
    gap_of_best,
    interval,
    note_of_intervals,
    p_values,
)

CLEAN_ONLY = Grid((), (), ())

SCORE_COLUMNS = ["dataset", "metric", "model", "value", "low", "high", "rank", "rank_low", "rank_high"]
SCORE_COLUMNS += ["to_best", "to_best_low", "to_best_high", "best", "seeds", "interval_over"]
PAIR_COLUMNS = ["dataset", "metric", "model", "other", "difference", "low", "high", "p", "seeds", "interval_over"]


@dataclass(frozen=True)
class VariedScores:
    """The scores of the models of one dataset, as varied values (see `reports.statistics.variation`).

    Attributes:
        scores: By model and metric, an array (R,): the estimate, then the replicates.
        variation: The units and trainings that the replicates leave out.
        interval_over: The number of sequences and images that intervals are computed over, in words.
        seeds: By model, the number of its seeds. The scores of the model are means over the trainings with these seeds.
        sequences_known: Whether the sequence of every image is known.
    """

    scores: Mapping[str, Mapping[str, Array]]
    variation: Variation
    interval_over: str
    seeds: Mapping[str, int]
    sequences_known: bool

    def note(self, dataset: str) -> IntervalNote:
        """Return what the intervals of these scores are computed over, as `note_of_intervals`; `dataset` is the title."""
        return note_of_intervals(dataset, self.interval_over, self.variation, self.sequences_known)


@dataclass(frozen=True)
class Comparison:
    """Tables of scores and of pairs of models. Shares are from 0 to 1, distances in pixels.

    `low` and `high` are the ends of an interval, NaN if there is none.

    Attributes:
        scores: Table with `SCORE_COLUMNS`, one row per dataset, metric and model. `rank` is the place: 1 is the best, and equal scores
            share the better place. The ends of its interval follow from the models that are significantly better or worse. `to_best` is
            the score minus the score of the best model; its interval does not assume that the model in `best` is truly the best.
        pairs: Table with `PAIR_COLUMNS`, one row per dataset, metric and pair of models. `difference` is the score of `model` minus that
            of `other`; `p` is not adjusted for the number of pairs.
        intervals: What the intervals of each dataset are computed over.
    """

    scores: pd.DataFrame
    pairs: pd.DataFrame
    intervals: tuple[IntervalNote, ...]


def vary_scores(models: Sequence[EvaluatedModel]) -> VariedScores:
    """Score the models of one dataset on clean images.

    Args:
        models: The models; only their rows of clean images are used.

    Returns:
        The scores with their replicates.

    Raises:
        ResultsError: If two models have the same label, or for the reasons of `images_of` and `score_model`.
    """
    labels = [model.label for model in models]
    for label in labels:
        if labels.count(label) > 1:
            raise ResultsError(f"{models[0].dataset}: two models are called {label!r}; each needs a name of its own.")
    images = images_of(models)
    variation, scores = variation_of(models, images), {}
    for model in models:
        by_metric = score_model(model, CLEAN_ONLY, images, shown_metrics(Shown.COMPARED))
        scores[model.label] = {m: variation.vary(runs[:, :, 0], model.training_group) for m, runs in by_metric.items()}
    return _varied(scores, variation, images, models)


def _varied(
    scores: Mapping[str, Mapping[str, Array]],
    variation: Variation,
    images: Images,
    models: Sequence[EvaluatedModel],
) -> VariedScores:
    seeds = {model.label: len(model.runs) for model in models}
    return VariedScores(scores, variation, images.in_words(), seeds, images.sequences_known)


def vary_mpc(models: Sequence[EvaluatedModel]) -> VariedScores:
    """Return the means of accuracy and mIoU over corruptions and severities (mPC) of the models of one dataset.

    Args:
        models: The models, with rows of corrupted images.

    Returns:
        The means with their replicates.

    Raises:
        ResultsError: For the reasons of `grid_of`, `images_of` and `score_model`.
    """
    grid, images = grid_of(models, ()), images_of(models)
    variation, scores = variation_of(models, images), {}
    metrics = {name: metric for name, metric in metrics_by_name().items() if name in MAIN}
    for model in models:
        by_metric = score_model(model, grid, images, metrics)
        varied = {metric: variation.vary(runs, model.training_group) for metric, runs in by_metric.items()}
        scores[model.label] = {metric: grid.parts(values)[1].mean(axis=(1, 2)) for metric, values in varied.items()}
    return _varied(scores, variation, images, models)


def compare(models: Sequence[EvaluatedModel]) -> Comparison:
    """Score the models of one or several datasets, and compare the models of each dataset with one another.

    Args:
        models: The models, in the order of the tables.

    Returns:
        The comparison.

    Raises:
        ResultsError: For the reasons of `vary_scores`.
    """
    datasets = dict.fromkeys(model.dataset for model in models)
    return compare_scores({d: vary_scores([model for model in models if model.dataset == d]) for d in datasets})


def compare_scores(varied: Mapping[str, VariedScores]) -> Comparison:
    """Compare the models of each dataset with one another.

    Args:
        varied: By title of the dataset, the scores of its models, in the order of the tables.

    Returns:
        The comparison.
    """
    scores: list[tuple[Any, ...]] = []
    pairs: list[tuple[Any, ...]] = []
    intervals = []
    for dataset, models in varied.items():
        intervals.append(models.note(dataset))
        for metric in shown_metrics(Shown.COMPARED):
            of_metric = {label: by_metric[metric] for label, by_metric in models.scores.items() if metric in by_metric}
            known = {label: values for label, values in of_metric.items() if not np.isnan(values[0])}
            if known:
                compared = _ComparedScores(dataset, metric, list(known), np.stack(list(known.values()), axis=1), models)
                scores += compared.score_rows()
                pairs += compared.pair_rows()
    return Comparison(
        pd.DataFrame(scores, columns=SCORE_COLUMNS), pd.DataFrame(pairs, columns=PAIR_COLUMNS), tuple(intervals)
    )


@dataclass(frozen=True)
class _ComparedScores:
    """The scores of the models of a dataset in one metric, an array (R, models)."""

    dataset: str
    metric: str
    labels: list[str]
    scores: Array
    all_scores: VariedScores

    def score_rows(self) -> list[tuple[Any, ...]]:
        sign = 1 if metrics_by_name()[self.metric].higher_is_better else -1
        # Scores are rounded, because equal scores may differ by rounding errors of their sums.
        values = np.round(sign * self.scores, 12)
        best = int(values[0].argmax())
        low, high = interval(self.scores, self.all_scores.variation)
        rows = []
        for i, label in enumerate(self.labels):
            score = (float(self.scores[0, i]), float(low[i]), float(high[i]))
            ranks = (1 + int((values[0] > values[0, i]).sum()), *self._ranks(values, i))
            to_best = (float(self.scores[0, i] - self.scores[0, best]), *self._to_best(values, i, sign))
            facts = (self.labels[best], self.all_scores.seeds[label], self.all_scores.interval_over)
            rows.append((self.dataset, self.metric, label, *score, *ranks, *to_best, *facts))
        return rows

    def _to_best(self, values: Array, i: int, sign: int) -> tuple[float, float]:
        """Return the interval of model i's score minus the best score; no end is better than 0, because model i may be the best."""
        others = np.delete(values, i, axis=1)
        if not others.size:
            return (0.0, 0.0) if self.all_scores.variation.units else (np.nan, np.nan)
        gap = gap_of_best(values[:, [i], None] - others[:, None], self.all_scores.variation)
        ends = sorted(sign * np.minimum([gap.low, gap.high], 0.0))
        return float(ends[0]), float(ends[1])

    def _ranks(self, values: Array, i: int) -> tuple[float, float]:
        """Return the best and the worst place that model i may have: models that are not significantly different may be in any order."""
        others = np.delete(values, i, axis=1)
        if not self.all_scores.variation.units:
            return np.nan, np.nan
        gaps = values[:, [i]] - others
        significant = p_values(gaps, self.all_scores.variation) < (1 - COVERAGE) / max(others.shape[1], 1)
        return 1.0 + (significant & (gaps[0] < 0)).sum(), 1.0 + (~significant | (gaps[0] < 0)).sum()

    def pair_rows(self) -> list[tuple[Any, ...]]:
        rows = []
        for place, label in enumerate(self.labels[:-1]):
            gaps = self.scores[:, [place]] - self.scores[:, place + 1 :]
            numbers = zip(
                gaps[0],
                *interval(gaps, self.all_scores.variation),
                p_values(gaps, self.all_scores.variation),
                strict=True,
            )
            for other, of_pair in zip(self.labels[place + 1 :], numbers, strict=True):
                seeds = min(self.all_scores.seeds[label], self.all_scores.seeds[other])
                over = self.all_scores.interval_over
                rows.append((self.dataset, self.metric, label, other, *map(float, of_pair), seeds, over))
        return rows
