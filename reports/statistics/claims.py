"""What the paper claims, and whether results support it: by how much, and whether that is more than test images and trainings vary.

A claim is a difference between models that are alike in all but what it is about, or between the best of some and the best of others.
A verdict takes at least six sequences and three trainings of each model, and a p-value that counts how many claims a study tests
(Holm). The same function reads the paper's own tables: in them nothing varies, so they have no interval.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from endoarss.metrics.catalogue import MAIN, MIOU, metrics_by_name
from reports.names import PUBLISHED_ROBUST_MODELS, PUBLISHED_ROBUSTNESS, architecture_label, weighting_label
from reports.published import published_ranks, published_robustness, published_scores
from reports.statistics.variation import COVERAGE, MIN_CLUSTERS, MIN_SEEDS, Array, Variation, gap_of_best, holm

SUPPORTED = "supported"
CONTRADICTED = "contradicted"
FOR_THESE = "differs for these trained models"
LEANS = "not decided, leans towards it"
AGAINST = "not decided, leans against it"
EQUAL = "not decided, no difference"
FEW_SEQUENCES = f"not decided, fewer than {MIN_CLUSTERS} sequences"
FEW_SEEDS = f"not decided, fewer than {MIN_SEEDS} seeds"
NOT_TESTED = "not tested"

COLUMNS = [
    "claim",
    "dataset",
    "metric",
    "compared",
    "difference",
    "low",
    "high",
    "p_adjusted",
    "verdict",
    "paper",
    "pairs",
    "asked",
    "over",
    "seeds",
]
BEST_RANK = 4
COSINE = "cosine"
_NO_TEST_IMAGES = "trainings alone"


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


@dataclass(frozen=True)
class Evidence:
    """What results say of one claim on one dataset in one metric.

    gaps: by how much each of some models is better than each of some others, [own][other]; of a claim of one difference one number.
    compared: what was taken from what. pairs: how many models were compared with another.
    """

    metric: str
    compared: str
    gaps: Sequence[Sequence[Score]]
    pairs: int

    @property
    def varied(self) -> Array:
        """(R, own, others)."""
        return np.stack([np.stack([gap.varied for gap in line], axis=-1) for line in self.gaps], axis=1)

    @property
    def variation(self) -> Variation:
        """What the gaps vary with."""
        return self.gaps[0][0].variation

    @property
    def seeds(self) -> int:
        """How many trainings of each model there are at least."""
        return min(gap.seeds for line in self.gaps for gap in line)

    @property
    def of_images(self) -> bool:
        """Whether test images are scored; gradients are of trainings alone."""
        return self.metric != COSINE


def evidence(metric: str, compared: str, better: Sequence[Score], worse: Sequence[Score]) -> Evidence:
    """Return the evidence of some models against some others."""
    gaps = [[one.minus(other) for other in worse] for one in better]
    return Evidence(metric, compared, gaps, len(better) * len(worse))


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper. name: ours for it. needs: what a study must have to test it. find: the evidence, from the scores of a
    dataset and its name."""

    name: str
    needs: str
    find: Callable[[Scores, str], Iterator[Evidence]]


def test_claims(
    results: Mapping[str, Scores],
    asked: Mapping[str, Scores],
    rank: int,
    titles: Mapping[str, str],
    units: Mapping[str, str],
) -> pd.DataFrame:
    """Test every claim on every dataset.

    Args:
        results: scores by dataset.
        asked: whatever scores by dataset of all models that the study asks for, those without results among them: they tell which
            comparisons a complete study has.
        rank: of the study's adapters; only the claim about ranks looks at others.
        titles, units: of each dataset its readable name, and what varies in words.

    Returns:
        `COLUMNS`: differences in shares from 0 to 1, NaN where a claim is not tested; paper is the same difference in the paper's own
        tables, NaN where they do not have it; pairs is how many were compared, asked how many a complete study has; p_adjusted is by Holm
        over all rows that can have a verdict, or could with more seeds.
    """
    rows: list[dict[str, object]] = []
    for claim in CLAIMS:
        for dataset, complete in asked.items():
            own, paper = results.get(dataset, {}), _published(dataset)
            if claim.name != RANK_CLAIM:
                own, complete, paper = _of_rank(own, rank), _of_rank(complete, rank), _of_rank(paper, BEST_RANK)
            found, printed = _by_comparison(claim.find(own, dataset)), _by_comparison(claim.find(paper, dataset))
            for key, whole in _by_comparison(claim.find(complete, dataset)).items():
                names = {"claim": claim.name, "dataset": titles[dataset], "metric": whole.metric}
                of_paper = gap_of_best(printed[key].varied, Variation()).difference if key in printed else np.nan
                over = units.get(dataset, "") if whole.of_images else _NO_TEST_IMAGES
                about = {"compared": whole.compared, "paper": of_paper, "asked": whole.pairs, "over": over}
                rows.append(names | about | _tested(found.get(key)))
        if not any(row["claim"] == claim.name for row in rows):
            rows.append({"claim": claim.name, "compared": claim.needs, "asked": 0} | _tested(None))
    table = pd.DataFrame(rows, columns=[*COLUMNS, "p", "lack"])
    table["p_adjusted"] = holm(table["p"].to_numpy(np.float64))
    numbers = table[["difference", "p_adjusted", "seeds", "lack"]].itertuples(index=False, name=None)
    table["verdict"] = [verdict(*of_row) for of_row in numbers]
    return table[COLUMNS]


def _tested(one: Evidence | None) -> dict[str, object]:
    """What is measured of a comparison; p is NaN where there can be no answer."""
    if one is None:
        return {"difference": np.nan, "low": np.nan, "high": np.nan, "p": np.nan, "pairs": 0, "seeds": 0, "lack": ""}
    gap, lack = gap_of_best(one.varied, one.variation), ""
    if one.of_images and one.variation.units < MIN_CLUSTERS:
        lack = FEW_SEQUENCES
    elif not one.of_images and one.seeds < MIN_SEEDS:
        lack = FEW_SEEDS
    ends: dict[str, object] = {"difference": gap.difference, "low": gap.low, "high": gap.high}
    return ends | {"p": np.nan if lack else gap.p, "pairs": one.pairs, "seeds": one.seeds, "lack": lack}


def _by_comparison(found: Iterator[Evidence]) -> dict[tuple[str, str], Evidence]:
    return {(one.metric, one.compared): one for one in found}


def _of_rank(scores: Scores, rank: int) -> Scores:
    return {model: found for model, found in scores.items() if model.rank == rank}


def verdict(difference: float, p: float, seeds: int, lack: str) -> str:
    """Return what results say of a claim.

    Args:
        difference: Positive if the claim holds, NaN if it is not tested.
        p: The adjusted p-value of no difference, NaN where nothing varies.
        seeds: How many trainings of each model there are at least.
        lack: What there is too little of for any answer, in words; "" if there is enough.
    """
    if np.isnan(difference):
        return NOT_TESTED
    if lack:
        return lack
    if p < 1 - COVERAGE:
        if seeds < MIN_SEEDS:
            return FOR_THESE
        return SUPPORTED if difference > 0 else CONTRADICTED
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
    better: Mapping[str, str], worse: Mapping[str, str], compared: str, metrics: Sequence[str] = MAIN
) -> Callable[[Scores, str], Iterator[Evidence]]:
    """The mean difference over all pairs that differ in one thing alone."""

    def find(scores: Scores, _: str) -> Iterator[Evidence]:
        for metric in metrics:
            pairs = [p for p in _pairs(scores, better, worse) if all(metric in scores[model] for model in p)]
            if pairs:
                gaps = [scores[one][metric].minus(scores[other][metric]) for one, other in pairs]
                yield Evidence(metric, compared, [[mean_score(gaps)]], len(pairs))

    return find


def _best_of_all(scores: Scores, _: str, prefix: str = "") -> Iterator[Evidence]:
    """EndoARSS with TESLA, the best of its weightings, against the best model that is not."""
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
    """The multi-task models of a backbone against the one of the same backbone that only segments."""
    singles = [s[MIOU] for m, s in scores.items() if m.architecture == "single_segmentation" and m.backbone == "dinov2"]
    several = [s[MIOU] for m, s in scores.items() if m.multi_task and m.backbone == "dinov2" and MIOU in s]
    if singles and several:
        gap = mean_score(several).minus(mean_score(singles))
        yield Evidence(MIOU, "DINOv2, mean of multi-task - segmentation only", [[gap]], len(several))


def _gradients(scores: Scores, dataset: str) -> Iterator[Evidence]:
    """The cosine between the tasks' gradients of shared parameters under TESLA and under other architectures."""
    for architecture in ("mmoe", "dselect_k"):
        compared = f"TESLA - {architecture_label(architecture)}"
        yield from _matched({"architecture": "tesla"}, {"architecture": architecture}, compared, [COSINE])(
            scores, dataset
        )


def _best_rank(scores: Scores, dataset: str) -> Iterator[Evidence]:
    """Rank 4 against the best of the other ranks, of the model that the paper's table has."""
    weighting = next((name for of, _, name in published_ranks().index if of == dataset), None)
    for metric in MAIN if weighting else ():
        model = Model("endoarss", "tesla", str(weighting), BEST_RANK)
        others = [
            s[metric]
            for m, s in sorted(scores.items())
            if replace(m, rank=BEST_RANK) == model and metric in s and m != model
        ]
        if metric in scores.get(model, {}) and others:
            compared = f"rank {BEST_RANK} - the best other rank, {weighting_label(model.weighting)}"
            yield evidence(metric, compared, [scores[model][metric]], others)


def _robust(scores: Scores, dataset: str) -> Iterator[Evidence]:
    """EndoARSS with TESLA against the best other model, by the mean over corruptions and severities."""
    return _best_of_all(scores, dataset, "mPC ")


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


def _published(dataset: str) -> Scores:
    """The paper's own tables of a dataset as scores that do not vary, in shares."""
    found: dict[Model, dict[str, Score]] = {}
    table = published_scores(dataset)
    if table is not None:
        for (backbone, architecture, weighting), row in table.iterrows():
            scores = {m: _constant(row[m] / metrics_by_name()[m].scale) for m in MAIN if pd.notna(row[m])}
            found[Model(backbone, architecture, weighting, BEST_RANK)] = scores
    for (of, rank, weighting), row in published_ranks().iterrows():
        if of == dataset:
            model = Model("endoarss", "tesla", weighting, int(rank))
            found.setdefault(model, {metric: _constant(row[metric] / 100) for metric in MAIN})
    if dataset == PUBLISHED_ROBUSTNESS:
        means = published_robustness().loc["mean"]
        for name in PUBLISHED_ROBUST_MODELS:
            for metric in MAIN:
                found[Model(*name, BEST_RANK)][f"mPC {metric}"] = _constant(means[metric, *name] / 100)
    return found


def _constant(value: float) -> Score:
    return Score(np.array([value]), Variation(), 0)
