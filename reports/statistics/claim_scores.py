"""What claims are tested on: scores of models by their components, each with what it varies with."""

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
COSINE = "cosine"
MPC = "mPC "


@dataclass(frozen=True, order=True)
class Model:
    """What is compared, by the names of components, and the rank of adapters."""

    backbone: str
    architecture: str
    weighting: str
    rank: int

    @property
    def multi_task(self) -> bool:
        """Whether it solves both tasks."""
        return not self.architecture.startswith("single_")


@dataclass(frozen=True)
class Score:
    """A score of a model, or a difference of scores.

    varied: (R,), the estimate first. variation: of what. seeds: of how many trainings it is the mean, the least of those that it comes of.
    """

    varied: Array
    variation: Variation
    seeds: int

    def minus(self, other: Score) -> Score:
        """The difference; both vary with the same."""
        return replace(self, varied=self.varied - other.varied, seeds=min(self.seeds, other.seeds))

    def __float__(self) -> float:
        return float(self.varied[0])


Scores = Mapping[Model, Mapping[str, Score]]
"""Of one dataset by model and metric; "mPC accuracy" and "mPC miou" are means over corruptions and severities, "cosine" is between the
tasks' gradients, one mean over epochs a training. All of one metric have the same variation."""


def mean_score(scores: Sequence[Score]) -> Score:
    """Return the mean of scores that vary with the same."""
    varied = np.mean([score.varied for score in scores], axis=0)
    return replace(scores[0], varied=varied, seeds=min(score.seeds for score in scores))


def scores_of(found: VariedScores, label: str, prefix: str = "") -> dict[str, Score]:
    """Return the scores of one of some models by metric. prefix: before the metric's name."""
    scores = found.scores[label].items()
    return {f"{prefix}{name}": Score(varied, found.variation, found.seeds[label]) for name, varied in scores}


def cosine_scores(cosines: Mapping[Model, Sequence[float]]) -> dict[Model, Score]:
    """Return the cosine between the tasks' gradients of each model.

    Args:
        cosines: Of each model a mean over epochs for each training. Epochs follow from one another, so that they show no variation.
    """
    variation = Variation(0, {str(model): len(values) for model, values in cosines.items() if len(values) >= MIN_SEEDS})
    return {
        model: Score(variation.vary(np.array(values)[:, None], str(model)), variation, len(values))
        for model, values in cosines.items()
    }


@cache
def paper_claim_scores(dataset: str) -> Scores:
    """Return the paper's own tables of a dataset as scores that do not vary, in shares."""
    found: dict[Model, dict[str, Score]] = {}
    table = paper_scores(dataset)
    if table is not None:
        for (backbone, architecture, weighting), row in table.iterrows():
            scores = {m: _constant(row[m] / metrics_by_name()[m].scale) for m in MAIN if pd.notna(row[m])}
            found[Model(backbone, architecture, weighting, BEST_RANK)] = scores
    for (of, rank, weighting), row in paper_ranks().iterrows():
        if of == dataset:
            model = Model("endoarss", "tesla", weighting, int(rank))
            found.setdefault(model, {metric: _constant(row[metric] / 100) for metric in MAIN})
    if dataset == PAPER_ROBUSTNESS:
        means = paper_robustness().loc["mean"]
        for name in PAPER_ROBUST_MODELS:
            for metric in MAIN:
                found[Model(*name, BEST_RANK)][f"{MPC}{metric}"] = _constant(means[metric, *name] / 100)
    return found


@cache
def weighting_of_ranks(dataset: str) -> str:
    """Return the weighting of the model whose ranks the paper compares on a dataset; "" if it compares none."""
    return next((str(weighting) for of, _, weighting in paper_ranks().index if of == dataset), "")


def _constant(value: float) -> Score:
    return Score(np.array([value]), Variation(), 0)
