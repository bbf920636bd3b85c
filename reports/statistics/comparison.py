"""Models beside each other on the images as they are: every score with its interval, paired differences, and ranks.

All models of a dataset see the same bootstrap draws (`reports.statistics.bootstrap`), so that a difference or a rank has an interval of its
own: two intervals of scores may overlap where that of their difference excludes zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from endoarss.metrics.catalogue import MAIN, Shown, metrics_by_name, shown_metrics
from reports.errors import ResultsError
from reports.statistics.bootstrap import REPLICATES, Array, draw_weights, interval, note_of_intervals, with_interval
from reports.statistics.condition_scores import EvaluatedModel, Grid, grid_of, images_of, score_model

AS_THEY_ARE = Grid((), (), ())

SCORE_COLUMNS = ["dataset", "metric", "model", "value", "low", "high", "rank", "rank_low", "rank_high"]
SCORE_COLUMNS += ["to_best", "to_best_low", "to_best_high", "best"]
PAIR_COLUMNS = ["dataset", "metric", "model", "other", "difference", "low", "high", "wins"]


@dataclass(frozen=True)
class Replicates:
    """The scores of the models of one dataset in every replicate of the bootstrap.

    scores: by model and metric (R,), the estimate first. units: what a replicate draws, in words.
    """

    scores: Mapping[str, Mapping[str, Array]]
    units: str

    @property
    def count(self) -> int:
        """How many replicates there are beside the estimate."""
        first = next(iter(next(iter(self.scores.values())).values()))
        return len(first) - 1


@dataclass(frozen=True)
class Comparison:
    """Both tables in shares from 0 to 1, distances in pixels; low and high are the ends of an interval, NaN where there is none.

    scores: `SCORE_COLUMNS`, one row a model and metric; rank 1 is the best, equal ones share the better rank; to_best is the score
    minus that of `best`, the model whose score is best. pairs: `PAIR_COLUMNS`, one row two models; difference is model minus other; wins
    is the share of the replicates in which the model is better, of those where both have a score, equal ones counted half. intervals:
    sentences, what the intervals of each dataset are over.
    """

    scores: pd.DataFrame
    pairs: pd.DataFrame
    intervals: tuple[str, ...]


def replicate_scores(models: Sequence[EvaluatedModel], replicates: int = REPLICATES, seed: int = 0) -> Replicates:
    """Score models of one dataset, clean, in every replicate.

    Args:
        models: whose rows have the columns of `EvaluatedModel`; only clean ones are looked at. replicates, seed: of the bootstrap.

    Raises:
        ResultsError: if two models have one label, or as `images_of` and `score_model` say.
    """
    labels = [model.label for model in models]
    for label in labels:
        if labels.count(label) > 1:
            raise ResultsError(f"{models[0].dataset}: two models are called {label!r}; each needs a name of its own.")
    images = images_of(models)
    weights = draw_weights(len(images.starts), replicates, seed)
    scores = {}
    for model in models:
        found = score_model(model, AS_THEY_ARE, images, weights, shown_metrics(Shown.COMPARED))
        scores[model.label] = {metric: values[:, 0] for metric, values in found.items()}
    return Replicates(scores, images.units())


def replicate_mpc(models: Sequence[EvaluatedModel], replicates: int = REPLICATES, seed: int = 0) -> Replicates:
    """The mean of accuracy and of mIoU over corruptions and severities (mPC) of models of one dataset, in every replicate.

    Args, raises: as `replicate_scores`, and ResultsError as `grid_of`.
    """
    grid, images = grid_of(models, ()), images_of(models)
    weights = draw_weights(len(images.starts), replicates, seed)
    metrics = {name: metric for name, metric in metrics_by_name().items() if name in MAIN}
    scores = {}
    for model in models:
        found = score_model(model, grid, images, weights, metrics)
        scores[model.label] = {metric: grid.parts(values)[1].mean(axis=(1, 2)) for metric, values in found.items()}
    return Replicates(scores, images.units())


def compare(models: Sequence[EvaluatedModel], replicates: int = REPLICATES, seed: int = 0) -> Comparison:
    """Compare models, of one dataset or of several, within each dataset.

    Args:
        models: in the order of tables. replicates, seed: of the bootstrap.

    Raises:
        ResultsError: as `replicate_scores`.
    """
    datasets = dict.fromkeys(model.dataset for model in models)
    return compare_scores(
        {d: replicate_scores([model for model in models if model.dataset == d], replicates, seed) for d in datasets}
    )


def compare_scores(replicates: Mapping[str, Replicates]) -> Comparison:
    """Compare models within each dataset.

    Args:
        replicates: by the dataset's title, models in the order of tables.
    """
    scores: list[tuple[Any, ...]] = []
    pairs: list[tuple[Any, ...]] = []
    intervals = []
    for dataset, found in replicates.items():
        intervals.append(note_of_intervals(dataset, found.units, found.count))
        for metric in shown_metrics(Shown.COMPARED):
            of_metric = {label: by_metric[metric] for label, by_metric in found.scores.items() if metric in by_metric}
            known = {label: values for label, values in of_metric.items() if not np.isnan(values[0])}
            if known:
                scores += _score_rows(dataset, metric, known)
                pairs += _pair_rows(dataset, metric, known)
    return Comparison(
        pd.DataFrame(scores, columns=SCORE_COLUMNS), pd.DataFrame(pairs, columns=PAIR_COLUMNS), tuple(intervals)
    )


def _score_rows(dataset: str, metric: str, scores: Mapping[str, Array]) -> list[tuple[Any, ...]]:
    values = _towards_better(metric, scores)
    ranks = 1 + (values[:, None, :] > values[:, :, None]).sum(axis=2).astype(np.float64)
    ranks[np.isnan(values)] = np.nan
    labels = list(scores)
    best = labels[int(values[0].argmax())]
    return [
        (
            dataset,
            metric,
            label,
            *with_interval(scores[label]),
            *with_interval(ranks[:, i]),
            *with_interval(scores[label] - scores[best]),
            best,
        )
        for i, label in enumerate(labels)
    ]


def _pair_rows(dataset: str, metric: str, scores: Mapping[str, Array]) -> list[tuple[Any, ...]]:
    values = dict(zip(scores, _towards_better(metric, scores).T, strict=True))
    labels, rows = list(scores), []
    for place, one in enumerate(labels[:-1], 1):
        others = labels[place:]
        differences = np.stack([scores[one] - scores[other] for other in others], axis=1)
        ends = zip(differences[0], *interval(differences), strict=True)
        for other, (difference, low, high) in zip(others, ends, strict=True):
            drawn = slice(1, None) if len(values[one]) > 1 else slice(None)
            gap = values[one][drawn] - values[other][drawn]
            gap = gap[np.isfinite(gap)]
            wins = float(np.mean((gap > 0) + 0.5 * (gap == 0))) if gap.size else float("nan")
            rows.append((dataset, metric, one, other, float(difference), float(low), float(high), wins))
    return rows


def _towards_better(metric: str, scores: Mapping[str, Array]) -> Array:
    """Scores as (R, models), the higher the better; rounded, so that sums in another order do not decide between equal ones."""
    sign = 1 if metrics_by_name()[metric].higher_is_better else -1
    return np.round(sign * np.stack(list(scores.values()), axis=1), 12)
