"""Collects the scores that the paper's claims are tested on: varied values (see `reports.statistics.variation`) by model and metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pandas as pd

from endoarss.metrics.catalogue import MAIN, metrics_by_name
from reports.names import PAPER_ROBUST_MODELS, PAPER_ROBUSTNESS
from reports.paper_numbers import paper_ranks, paper_robustness, paper_scores
from reports.statistics.comparison import VariedScores
from reports.statistics.variation import MIN_SEEDS, Array, Variation

BEST_RANK = 4
"""Rank of the adapters that is best according to the paper."""
COSINE = "cosine"
"""Name of a metric: the cosine between the gradients of the two tasks."""
MPC = "mPC "
"""Text before the name of a metric whose scores are means over corruptions and severities."""


@dataclass(frozen=True, order=True)
class Model:
    """A model, identified by the names of its components and the rank of its adapters."""

    backbone: str
    architecture: str
    weighting: str
    rank: int

    @property
    def multi_task(self) -> bool:
        """Return whether the model solves both tasks."""
        return not self.architecture.startswith("single_")


@dataclass(frozen=True)
class Score:
    """A score of a model, or a difference of scores.

    Attributes:
        varied: Array (R,), the estimate first.
        variation: The units and trainings that the other rows of `varied` leave out.
        seeds: Number of seeds that the score is the mean over; for a difference, the smaller number of both scores.
    """

    varied: Array
    variation: Variation
    seeds: int

    def minus(self, other: Score) -> Score:
        """Return this score minus another with the same variation.

        Args:
            other: The other score.

        Returns:
            The difference.
        """
        return replace(self, varied=self.varied - other.varied, seeds=min(self.seeds, other.seeds))

    def __float__(self) -> float:
        return float(self.varied[0])


Scores = Mapping[Model, Mapping[str, Score]]
"""Scores on one dataset by model and metric. "mPC accuracy" and "mPC miou" are means over corruptions and severities; "cosine" is the
cosine between the gradients of the two tasks, per training the mean over epochs. All scores of one metric have the same variation."""


def mean_score(scores: Sequence[Score]) -> Score:
    """Return the mean of scores with the same variation.

    Args:
        scores: The scores.

    Returns:
        The mean. Its number of seeds is the smallest one of the scores.
    """
    varied = np.mean([score.varied for score in scores], axis=0)
    return replace(scores[0], varied=varied, seeds=min(score.seeds for score in scores))


def scores_of(models: VariedScores, label: str, prefix: str = "") -> dict[str, Score]:
    """Return the scores of one model by metric.

    Args:
        models: Scores of the models of a dataset.
        label: Label of the model.
        prefix: Text before the name of each metric.

    Returns:
        Scores by metric.
    """
    scores = models.scores[label].items()
    return {f"{prefix}{name}": Score(varied, models.variation, models.seeds[label]) for name, varied in scores}


def cosine_scores(cosines: Mapping[Model, Sequence[float]]) -> dict[Model, Score]:
    """Return the cosine between the gradients of the two tasks, for each model.

    Args:
        cosines: By model, one value per training: the mean over the training's epochs, because these are not independent.

    Returns:
        Scores by model.
    """
    variation = Variation(0, {str(model): len(values) for model, values in cosines.items() if len(values) >= MIN_SEEDS})
    return {
        model: Score(variation.vary(np.array(values)[:, None], str(model)), variation, len(values))
        for model, values in cosines.items()
    }


@cache
def paper_claim_scores(dataset: str) -> Scores:
    """Return the numbers of the paper's tables as scores without variation, in shares from 0 to 1.

    Args:
        dataset: Key of the dataset.

    Returns:
        Scores by model and metric.
    """
    by_model: dict[Model, dict[str, Score]] = {}
    table = paper_scores(dataset)
    if table is not None:
        for (backbone, architecture, weighting), row in table.iterrows():
            scores = {m: _constant(row[m] / metrics_by_name()[m].scale) for m in MAIN if pd.notna(row[m])}
            by_model[Model(backbone, architecture, weighting, BEST_RANK)] = scores
    for (of_dataset, rank, weighting), row in paper_ranks().iterrows():
        if of_dataset == dataset:
            model = Model("endoarss", "tesla", weighting, int(rank))
            by_model.setdefault(model, {metric: _constant(row[metric] / 100) for metric in MAIN})
    if dataset == PAPER_ROBUSTNESS:
        means = paper_robustness().loc["mean"]
        for name in PAPER_ROBUST_MODELS:
            for metric in MAIN:
                by_model[Model(*name, BEST_RANK)][f"{MPC}{metric}"] = _constant(means[metric, *name] / 100)
    return by_model


@cache
def weighting_of_ranks(dataset: str) -> str:
    """Return the weighting of the model whose ranks the paper compares on a dataset.

    Args:
        dataset: Key of the dataset.

    Returns:
        The weighting, "" if the paper compares no ranks on it.
    """
    return next((str(weighting) for of_dataset, _, weighting in paper_ranks().index if of_dataset == dataset), "")


def _constant(value: float) -> Score:
    return Score(np.array([value]), Variation(), 0)
