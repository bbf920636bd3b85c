"""Lists the paper's claims, with a function per claim that finds the differences of scores for or against it.

`reports.statistics.claims` tests these differences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from endoarss.metrics.catalogue import MAIN, MIOU
from reports.names import KNOWN_LABELS
from reports.statistics.claim_scores import BEST_RANK, COSINE, MPC, Model, Score, Scores, mean_score, weighting_of_ranks
from reports.statistics.variation import Array, Variation


@dataclass(frozen=True)
class Evidence:
    """The differences of scores that test one claim on one dataset in one metric.

    Attributes:
        metric: Name of the metric.
        compared: The two sides of the difference, in words.
        gaps: In row i and column j, the score of model i minus the score of model j. According to the claim, the models of the rows are
            better. A claim about a mean difference has one row and one column.
        pairs: Number of pairs of models that were compared.
    """

    metric: str
    compared: str
    gaps: Sequence[Sequence[Score]]
    pairs: int

    @property
    def varied(self) -> Array:
        """Return the differences as an array (R, models, others)."""
        return np.stack([np.stack([gap.varied for gap in line], axis=-1) for line in self.gaps], axis=1)

    @property
    def variation(self) -> Variation:
        """Return the units and trainings that the rows of `varied` leave out."""
        return self.gaps[0][0].variation

    @property
    def seeds(self) -> int:
        """Return the smallest number of seeds of all compared models."""
        return min(gap.seeds for line in self.gaps for gap in line)

    @property
    def uses_images(self) -> bool:
        """Return whether the metric is computed on test images; cosines of gradients are computed in training."""
        return self.metric != COSINE


def evidence(metric: str, compared: str, better: Sequence[Score], worse: Sequence[Score]) -> Evidence:
    """Return the evidence that compares every model of one group with every model of another.

    Args:
        metric: Name of the metric.
        compared: The two groups, in words.
        better: Scores of the models that are better according to the claim.
        worse: Scores of the other models.

    Returns:
        The evidence.
    """
    gaps = [[score.minus(other) for other in worse] for score in better]
    return Evidence(metric, compared, gaps, len(better) * len(worse))


@dataclass(frozen=True)
class Claim:
    """A claim of the paper.

    Attributes:
        name: The claim in one sentence.
        needs: What a study must contain so that the claim can be tested, in words.
        find: Function that takes the scores on a dataset and the name of the dataset, and yields the evidence for or against the claim.
    """

    name: str
    needs: str
    find: Callable[[Scores, str], Iterator[Evidence]]


def _pairs(scores: Scores, better: Mapping[str, str], worse: Mapping[str, str]) -> list[tuple[Model, Model]]:
    """Return pairs of models that differ only in some components: the first model has those of `better`, the second those of `worse`."""
    pairs = []
    for model in scores:
        if all(getattr(model, key) == value for key, value in better.items()):
            other = replace(model, **worse)  # type: ignore[arg-type] # keys are names of text fields
            if other in scores and other != model:
                pairs.append((model, other))
    return sorted(pairs)


def _mean_difference(
    better: Mapping[str, str], worse: Mapping[str, str], compared: str, metrics: Sequence[str] = MAIN
) -> Callable[[Scores, str], Iterator[Evidence]]:
    """Return a function that yields the mean difference, over all pairs of models from `_pairs`, in each metric."""

    def find(scores: Scores, _: str) -> Iterator[Evidence]:
        for metric in metrics:
            pairs = [p for p in _pairs(scores, better, worse) if all(metric in scores[model] for model in p)]
            if pairs:
                gaps = [scores[model][metric].minus(scores[other][metric]) for model, other in pairs]
                yield Evidence(metric, compared, [[mean_score(gaps)]], len(pairs))

    return find


def _best_of_all(scores: Scores, _: str, prefix: str = "") -> Iterator[Evidence]:
    """Yield the best score of EndoARSS with TESLA, of all weightings, minus the best score of the other models."""
    for metric in (f"{prefix}{name}" for name in MAIN):
        endoarss: list[Score] = []
        others: list[Score] = []
        for model, by_metric in scores.items():
            if metric in by_metric:
                is_endoarss = (model.backbone, model.architecture) == ("endoarss", "tesla")
                (endoarss if is_endoarss else others).append(by_metric[metric])
        if endoarss and others:
            yield evidence(metric, "the best EndoARSS TESLA - the best other model", endoarss, others)


def _multi_task(scores: Scores, _: str) -> Iterator[Evidence]:
    """Yield the mean mIoU of multi-task DINOv2 models minus that of the DINOv2 model that only segments."""
    singles = [s[MIOU] for m, s in scores.items() if m.architecture == "single_segmentation" and m.backbone == "dinov2"]
    multi_task = [s[MIOU] for m, s in scores.items() if m.multi_task and m.backbone == "dinov2" and MIOU in s]
    if singles and multi_task:
        gap = mean_score(multi_task).minus(mean_score(singles))
        yield Evidence(MIOU, "multi-task DINOv2 (mean) - segmentation-only DINOv2", [[gap]], len(multi_task))


def _gradients(scores: Scores, dataset: str) -> Iterator[Evidence]:
    """Yield the cosine between the tasks' gradients with TESLA minus the cosine with MMoE, then minus the cosine with DSelect-k."""
    for architecture in ("mmoe", "dselect_k"):
        compared = f"TESLA - {KNOWN_LABELS.architecture(architecture)}"
        yield from _mean_difference({"architecture": "tesla"}, {"architecture": architecture}, compared, [COSINE])(
            scores, dataset
        )


def _best_rank(scores: Scores, dataset: str) -> Iterator[Evidence]:
    """Yield the score of rank 4 minus the best score of the other ranks, for the model of the paper's Table VI."""
    weighting = weighting_of_ranks(dataset)
    for metric in MAIN if weighting else ():
        model = Model("endoarss", "tesla", weighting, BEST_RANK)
        others = [
            s[metric]
            for m, s in sorted(scores.items())
            if replace(m, rank=BEST_RANK) == model and metric in s and m != model
        ]
        if metric in scores.get(model, {}) and others:
            compared = f"rank {BEST_RANK} - the best other rank, {KNOWN_LABELS.weighting(model.weighting)}"
            yield evidence(metric, compared, [scores[model][metric]], others)


def _robust(scores: Scores, dataset: str) -> Iterator[Evidence]:
    """Yield the difference of `_best_of_all` for the means over corruptions and severities."""
    return _best_of_all(scores, dataset, MPC)


RANK_CLAIM = "Rank 4 is the best rank"
_DINOV2 = _mean_difference({"backbone": "dinov2"}, {"backbone": "resnet"}, "DINOv2 - ResNet")
_SMA = _mean_difference({"backbone": "endoarss"}, {"backbone": "dinov2"}, "with SMA - without SMA")
_OVER_MMOE = _mean_difference({"architecture": "tesla"}, {"architecture": "mmoe"}, "TESLA - MMoE")
_OVER_DSELECT = _mean_difference({"architecture": "tesla"}, {"architecture": "dselect_k"}, "TESLA - DSelect-k")
CLAIMS: Sequence[Claim] = (
    Claim("EndoARSS is best on each dataset", "scores of EndoARSS with TESLA and of another model", _best_of_all),
    Claim("TESLA is better than MMoE", "a cell with TESLA, and the same cell with MMoE", _OVER_MMOE),
    Claim("TESLA is better than DSelect-k", "a cell with TESLA, and the same cell with DSelect-k", _OVER_DSELECT),
    Claim("DINOv2 is better than ResNet101", "a cell with DINOv2, and the same cell with ResNet", _DINOV2),
    Claim(
        "Multi-task segments better than segmentation alone",
        "a multi-task cell and a segmentation-only cell with DINOv2 on one dataset",
        _multi_task,
    ),
    Claim(
        "Under TESLA the tasks' gradients conflict less",
        "the training of a cell with TESLA, and of the same cell with MMoE or DSelect-k",
        _gradients,
    ),
    Claim("SMA improves DINOv2", "a cell with EndoARSS (DINOv2 with SMA), and the same cell with DINOv2", _SMA),
    Claim(
        RANK_CLAIM,
        f"EndoARSS TESLA with the weighting of the paper's Table VI, with rank {BEST_RANK} and with another rank",
        _best_rank,
    ),
    Claim("EndoARSS is most robust on average", "the robustness of EndoARSS with TESLA and of another model", _robust),
)
