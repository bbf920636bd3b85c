"""What the paper claims, and whether results support it: by how much, and whether the interval excludes zero.

A claim is a difference between models that are alike in all but what it is about, in the same bootstrap replicates. The same
function reads the paper's own tables: they have no replicates, so no interval.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from endoarss.metrics.catalogue import MAIN, MIOU, metrics_by_name
from reports.names import PUBLISHED_ROBUST_MODELS, PUBLISHED_ROBUSTNESS, architecture_label, weighting_label
from reports.published import published_ranks, published_robustness, published_scores
from reports.statistics.bootstrap import Array, with_interval

SUPPORTED = "supported"
CONTRADICTED = "contradicted"
LEANS = "not decided, leans towards it"
AGAINST = "not decided, leans against it"
EQUAL = "not decided, no difference"
NOT_TESTED = "not tested"

COLUMNS = [
    "claim",
    "dataset",
    "metric",
    "compared",
    "difference",
    "low",
    "high",
    "verdict",
    "paper",
    "pairs",
    "asked",
    "over",
]
BEST_RANK = 4


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


Scores = Mapping[Model, Mapping[str, Array]]
"""Of one dataset by model and metric the score in every replicate (R,), the estimate first; "mPC accuracy" and "mPC miou" are means over
corruptions and severities, "cosine" is between the tasks' gradients, of a training's epochs."""


@dataclass(frozen=True)
class Evidence:
    """What results say of one claim on one dataset in one metric.

    difference: in every replicate (R,), the estimate first. compared: what was taken from what. pairs: how many models were compared
    with another, or with how many the best was compared. over: what a replicate draws, if that is not what it draws elsewhere.
    """

    metric: str
    compared: str
    difference: Array
    pairs: int
    over: str = ""


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper. name: ours for it. needs: what a study must have to test it. find: the evidence of one dataset."""

    name: str
    needs: str
    find: Callable[[Scores], Iterator[Evidence]]


def weigh_claims(
    results: Mapping[str, Scores],
    asked: Mapping[str, Scores],
    rank: int,
    titles: Mapping[str, str],
    units: Mapping[str, str],
) -> pd.DataFrame:
    """Every claim on every dataset.

    Args:
        results: scores by dataset. asked: whatever scores by dataset of all models that the study asks for, those without results among
        them: they tell which comparisons a complete study has. rank: of the study's adapters; only the claim about ranks looks at
        others. titles, units: of each
        dataset its readable name, and what a replicate draws.

    Returns:
        `COLUMNS`: differences in shares from 0 to 1, NaN where a claim is not tested; paper is the same difference in the paper's own
        tables, NaN where they do not have it; pairs is how many were compared, asked how many a complete study has.
    """
    rows: list[dict[str, object]] = []
    for claim in CLAIMS:
        for dataset, complete in asked.items():
            own, paper = results.get(dataset, {}), _published(dataset)
            if claim.name != RANK_CLAIM:
                own, complete, paper = _of_rank(own, rank), _of_rank(complete, rank), _of_rank(paper, BEST_RANK)
            found, printed = _by_comparison(claim.find(own)), _by_comparison(claim.find(paper))
            for key, whole in _by_comparison(claim.find(complete)).items():
                one = found.get(key)
                difference, low, high = with_interval(one.difference) if one else (np.nan,) * 3
                rows.append(
                    {
                        "claim": claim.name,
                        "dataset": titles[dataset],
                        "metric": whole.metric,
                        "compared": whole.compared,
                        "difference": difference,
                        "low": low,
                        "high": high,
                        "verdict": verdict(difference, low, high),
                        "paper": printed[key].difference[0] if key in printed else np.nan,
                        "pairs": one.pairs if one else 0,
                        "asked": whole.pairs,
                        "over": whole.over or units.get(dataset, ""),
                    }
                )
        if not any(row["claim"] == claim.name for row in rows):
            rows.append({"claim": claim.name, "compared": claim.needs, "verdict": NOT_TESTED, "pairs": 0, "asked": 0})
    return pd.DataFrame(rows, columns=COLUMNS)


def _by_comparison(found: Iterator[Evidence]) -> dict[tuple[str, str], Evidence]:
    return {(one.metric, one.compared): one for one in found}


def _of_rank(scores: Scores, rank: int) -> Scores:
    return {model: found for model, found in scores.items() if model.rank == rank}


def verdict(difference: float, low: float, high: float) -> str:
    """What a difference, positive if the claim holds, says of the claim: decided where its interval excludes zero."""
    if np.isnan(difference):
        return NOT_TESTED
    if low > 0:
        return SUPPORTED
    if high < 0:
        return CONTRADICTED
    return EQUAL if difference == 0 else LEANS if difference > 0 else AGAINST


def _pairs(scores: Scores, better: Mapping[str, str], worse: Mapping[str, str]) -> list[tuple[Model, Model]]:
    """Models with the values `better`, each with the one that has `worse` instead and is alike otherwise."""
    found = []
    for model in scores:
        if all(getattr(model, key) == value for key, value in better.items()):
            other = replace(model, **worse)  # type: ignore[arg-type] # keys are names of text fields
            if other in scores and other != model:
                found.append((model, other))
    return sorted(found)


def _matched(
    better: Mapping[str, str], worse: Mapping[str, str], compared: str
) -> Callable[[Scores], Iterator[Evidence]]:
    """The mean difference over all pairs that differ in one thing alone."""

    def find(scores: Scores) -> Iterator[Evidence]:
        for metric in MAIN:
            pairs = [p for p in _pairs(scores, better, worse) if all(metric in scores[model] for model in p)]
            if pairs:
                gaps = [scores[one][metric] - scores[other][metric] for one, other in pairs]
                yield Evidence(metric, compared, np.mean(gaps, axis=0), len(pairs))

    return find


def _best_of_all(scores: Scores) -> Iterator[Evidence]:
    """EndoARSS with TESLA against the best model that is not."""
    for metric in MAIN:
        ours: list[Model] = []
        others: list[Model] = []
        for model, found in scores.items():
            if metric in found:
                (ours if (model.backbone, model.architecture) == ("endoarss", "tesla") else others).append(model)
        if ours and others:
            one, other = (max(group, key=lambda m: float(scores[m][metric][0])) for group in (ours, others))
            gap = scores[one][metric] - scores[other][metric]
            yield Evidence(metric, "EndoARSS TESLA - the best other model", gap, len(ours) * len(others))


def _multi_task(scores: Scores) -> Iterator[Evidence]:
    """The multi-task models of a backbone against the one of the same backbone that only segments."""
    singles = [m for m in scores if m.architecture == "single_segmentation" and m.backbone == "dinov2"]
    several = [m for m in scores if m.multi_task and m.backbone == "dinov2" and MIOU in scores[m]]
    if singles and several:
        single = np.mean([scores[m][MIOU] for m in singles], axis=0)
        gap = np.mean([scores[m][MIOU] for m in several], axis=0) - single
        yield Evidence(MIOU, "DINOv2, mean of multi-task - segmentation only", gap, len(several))


def _gradients(scores: Scores) -> Iterator[Evidence]:
    """The cosine between the tasks' gradients of shared parameters under TESLA and under other architectures, mean over epochs."""
    for architecture in ("mmoe", "dselect_k"):
        pairs = [
            (one, other)
            for one, other in _pairs(scores, {"architecture": "tesla"}, {"architecture": architecture})
            if "cosine" in scores[one] and "cosine" in scores[other]
        ]
        if pairs:
            gap = np.mean([scores[one]["cosine"] - scores[other]["cosine"] for one, other in pairs], axis=0)
            compared = f"TESLA - {architecture_label(architecture)}"
            yield Evidence("cosine", compared, gap, len(pairs), "epochs, which are not independent")


def _best_rank(scores: Scores) -> Iterator[Evidence]:
    """Rank 4 against the best of the other ranks of the same model."""
    for metric in MAIN:
        for model in sorted(scores):
            others = [m for m in scores if replace(m, rank=BEST_RANK) == model and m != model and metric in scores[m]]
            if model.rank == BEST_RANK and others and metric in scores[model]:
                best = max(others, key=lambda m: float(scores[m][metric][0]))
                gap = scores[model][metric] - scores[best][metric]
                compared = f"rank {BEST_RANK} - the best other rank, {weighting_label(model.weighting)}"
                yield Evidence(metric, compared, gap, len(others))


def _robust(scores: Scores) -> Iterator[Evidence]:
    """EndoARSS with TESLA against the best other model, by the mean over corruptions and severities."""
    for metric in MAIN:
        for one in _best_of_all({m: {metric: s[f"mPC {metric}"]} for m, s in scores.items() if f"mPC {metric}" in s}):
            yield replace(one, metric=f"mPC {metric}")


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
    Claim(RANK_CLAIM, f"cells that differ in the rank alone, {BEST_RANK} among them", _best_rank),
    Claim("EndoARSS is most robust on average", "the robustness of EndoARSS with TESLA, and of another model", _robust),
)


def _published(dataset: str) -> Scores:
    """The paper's own tables of a dataset as scores without replicates, in shares."""
    found: dict[Model, dict[str, Array]] = {}
    table = published_scores(dataset)
    if table is not None:
        for (backbone, architecture, weighting), row in table.iterrows():
            scores = {
                metric: np.array([row[metric] / metrics_by_name()[metric].scale])
                for metric in MAIN
                if pd.notna(row[metric])
            }
            found[Model(backbone, architecture, weighting, BEST_RANK)] = scores
    for (of, rank, weighting), row in published_ranks().iterrows():
        if of == dataset:
            model = Model("endoarss", "tesla", weighting, int(rank))
            found.setdefault(model, {metric: np.array([row[metric] / 100]) for metric in MAIN})
    if dataset == PUBLISHED_ROBUSTNESS:
        means = published_robustness().loc["mean"]
        for name in PUBLISHED_ROBUST_MODELS:
            for metric in MAIN:
                found[Model(*name, BEST_RANK)][f"mPC {metric}"] = np.array([means[metric, *name] / 100])
    return found
