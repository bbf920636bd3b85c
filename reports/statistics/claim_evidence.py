"""The paper's claims, and the differences of scores that are evidence for each of them."""

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
        gaps: Score of each model minus the score of each other model, [model][other]; a single number for a claim about one difference.
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
        """Return what the rows of the differences leave out."""
        return self.gaps[0][0].variation

    @property
    def seeds(self) -> int:
        """Return the smallest number of trainings of a model."""
        return min(gap.seeds for line in self.gaps for gap in line)

    @property
    def of_images(self) -> bool:
        """Return whether the metric is computed on test images; cosines of gradients come from trainings alone."""
        return self.metric != COSINE


def evidence(metric: str, compared: str, better: Sequence[Score], worse: Sequence[Score]) -> Evidence:
    """Return the evidence that compares every model of one group with every model of another.

    Args:
        metric: Name of the metric.
        compared: The two groups, in words.
        better: Scores of the models that the claim says are better.
        worse: Scores of the other models.

    Returns:
        The evidence.
    """
    gaps = [[one.minus(other) for other in worse] for one in better]
    return Evidence(metric, compared, gaps, len(better) * len(worse))


@dataclass(frozen=True)
class Claim:
    """A claim of the paper.

    Attributes:
        name: The claim in one sentence.
        needs: What a study must contain to test it, in words.
        find: Function that yields the evidence from the scores of a dataset and its name.
    """

    name: str
    needs: str
    find: Callable[[Scores, str], Iterator[Evidence]]


def _pairs(scores: Scores, better: Mapping[str, str], worse: Mapping[str, str]) -> list[tuple[Model, Model]]:
    """Return pairs of models: one with the values `better`, and the one that differs from it only by the values `worse`."""
    found = []
    for model in scores:
        if all(getattr(model, key) == value for key, value in better.items()):
            other = replace(model, **worse)  # type: ignore[arg-type] # keys are names of text fields
            if other in scores and other != model:
                found.append((model, other))
    return sorted(found)


def _matched(
    better: Mapping[str, str], worse: Mapping[str, str], compared: str, metrics: Sequence[str] = MAIN
) -> Callable[[Scores, str], Iterator[Evidence]]:
    """Return a function that yields the mean difference over all pairs of models that differ in one component only."""

    def find(scores: Scores, _: str) -> Iterator[Evidence]:
        for metric in metrics:
            pairs = [p for p in _pairs(scores, better, worse) if all(metric in scores[model] for model in p)]
            if pairs:
                gaps = [scores[one][metric].minus(scores[other][metric]) for one, other in pairs]
                yield Evidence(metric, compared, [[mean_score(gaps)]], len(pairs))

    return find


def _best_of_all(scores: Scores, _: str, prefix: str = "") -> Iterator[Evidence]:
    """Yield the difference of the best EndoARSS TESLA model, over weightings, to the best other model."""
    for metric in (f"{prefix}{name}" for name in MAIN):
        ours: list[Score] = []
        others: list[Score] = []
        for model, found in scores.items():
            if metric in found:
                own = (model.backbone, model.architecture) == ("endoarss", "tesla")
                (ours if own else others).append(found[metric])
        if ours and others:
            yield evidence(metric, "the best EndoARSS TESLA - the best other model", ours, others)


def _multi_task(scores: Scores, _: str) -> Iterator[Evidence]:
    """Yield the difference of the multi-task DINOv2 models to the DINOv2 model that only segments."""
    singles = [s[MIOU] for m, s in scores.items() if m.architecture == "single_segmentation" and m.backbone == "dinov2"]
    several = [s[MIOU] for m, s in scores.items() if m.multi_task and m.backbone == "dinov2" and MIOU in s]
    if singles and several:
        gap = mean_score(several).minus(mean_score(singles))
        yield Evidence(MIOU, "DINOv2, mean of multi-task - segmentation only", [[gap]], len(several))


def _gradients(scores: Scores, dataset: str) -> Iterator[Evidence]:
    """Yield the difference of the gradients' cosine under TESLA to that under each other architecture."""
    for architecture in ("mmoe", "dselect_k"):
        compared = f"TESLA - {KNOWN_LABELS.architecture(architecture)}"
        yield from _matched({"architecture": "tesla"}, {"architecture": architecture}, compared, [COSINE])(
            scores, dataset
        )


def _best_rank(scores: Scores, dataset: str) -> Iterator[Evidence]:
    """Yield the difference of rank 4 to the best other rank, for the model of the paper's table."""
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
    """Yield the difference of EndoARSS TESLA to the best other model in the mean over corruptions and severities."""
    return _best_of_all(scores, dataset, MPC)


RANK_CLAIM = "Rank 4 is the best rank"
_DINOV2 = _matched({"backbone": "dinov2"}, {"backbone": "resnet"}, "DINOv2 - ResNet")
_SMA = _matched({"backbone": "endoarss"}, {"backbone": "dinov2"}, "with SMA - without")
_OVER_MMOE = _matched({"architecture": "tesla"}, {"architecture": "mmoe"}, "TESLA - MMoE")
_OVER_DSELECT = _matched({"architecture": "tesla"}, {"architecture": "dselect_k"}, "TESLA - DSelect-k")
CLAIMS: Sequence[Claim] = (
    Claim("EndoARSS is best on each dataset", "EndoARSS with TESLA, and another model", _best_of_all),
    Claim("TESLA is better than MMoE", "two cells that differ in TESLA and MMoE alone", _OVER_MMOE),
    Claim("TESLA is better than DSelect-k", "two cells that differ in TESLA and DSelect-k alone", _OVER_DSELECT),
    Claim("DINOv2 is better than ResNet101", "two cells that differ in the backbone alone", _DINOV2),
    Claim(
        "Multi-task segments better than segmentation alone", "DINOv2 cells of both kinds on one dataset", _multi_task
    ),
    Claim(
        "Under TESLA the tasks' gradients conflict less", "histories of cells that differ in TESLA alone", _gradients
    ),
    Claim("SMA improves DINOv2", "two cells that differ in SMA alone", _SMA),
    Claim(RANK_CLAIM, f"cells of the paper's table of ranks, rank {BEST_RANK} and another", _best_rank),
    Claim("EndoARSS is most robust on average", "the robustness of EndoARSS with TESLA, and of another model", _robust),
)
