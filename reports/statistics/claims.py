"""Tests of the paper's claims: how large each difference is, and whether it exceeds the variation of test images and trainings.

A claim is a difference between models that differ only in what the claim is about, or between the best of two groups of models.
A verdict requires at least six known sequences, three trainings per model, and a p-value that is adjusted for the number of claims
(Holm). The same function reads the paper's tables, which have no variation and therefore no intervals.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import numpy as np
import pandas as pd

from reports.statistics.claim_evidence import CLAIMS, RANK_CLAIM, Evidence
from reports.statistics.claim_scores import BEST_RANK, Scores, paper_claim_scores
from reports.statistics.variation import COVERAGE, MIN_CLUSTERS, MIN_SEEDS, Variation, gap_of_best, holm

SUPPORTED = "supported"
CONTRADICTED = "contradicted"
FOR_THESE = "differs for these trained models"
LEANS = "not decided, leans towards it"
AGAINST = "not decided, leans against it"
EQUAL = "not decided, no difference"
FEW_SEQUENCES = f"not decided, fewer than {MIN_CLUSTERS} sequences"
UNKNOWN_SEQUENCES = "not decided, sequences not known"
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
_NO_TEST_IMAGES = "trainings alone"


def test_claims(
    results: Mapping[str, Scores],
    asked: Mapping[str, Scores],
    rank: int,
    titles: Mapping[str, str],
    units: Mapping[str, str],
    of_sequences: Collection[str],
) -> pd.DataFrame:
    """Test every claim on every dataset.

    Args:
        results: Scores by dataset.
        asked: Placeholder scores by dataset of all models of the study, with or without results; they define the comparisons of a
            complete study.
        rank: Rank of the study's adapters; only the claim about ranks uses others.
        titles: Readable name of each dataset.
        units: By dataset, what its intervals are computed over, in words.
        of_sequences: Datasets in which the sequence of every image is known. Other datasets get no verdict, because images of one video
            are not independent.

    Returns:
        A table with `COLUMNS`. Differences are shares from 0 to 1, NaN if a claim is not tested. `paper` is the same difference in the
        paper's tables, NaN if it is not there. `pairs` is the number of pairs that were compared, `asked` that of a complete study.
        `p_adjusted` is adjusted by Holm's method over all rows that can have a verdict, or could have one with more seeds.
    """
    rows: list[dict[str, object]] = []
    for claim in CLAIMS:
        for dataset, complete in asked.items():
            own, paper = results.get(dataset, {}), paper_claim_scores(dataset)
            if claim.name != RANK_CLAIM:
                own, complete, paper = _of_rank(own, rank), _of_rank(complete, rank), _of_rank(paper, BEST_RANK)
            found, printed = _by_comparison(claim.find(own, dataset)), _by_comparison(claim.find(paper, dataset))
            for key, whole in _by_comparison(claim.find(complete, dataset)).items():
                names = {"claim": claim.name, "dataset": titles[dataset], "metric": whole.metric}
                of_paper = gap_of_best(printed[key].varied, Variation()).difference if key in printed else np.nan
                over = units.get(dataset, "") if whole.of_images else _NO_TEST_IMAGES
                about = {"compared": whole.compared, "paper": of_paper, "asked": whole.pairs, "over": over}
                rows.append(names | about | _tested(found.get(key), dataset in of_sequences))
        if not any(row["claim"] == claim.name for row in rows):
            rows.append({"claim": claim.name, "compared": claim.needs, "asked": 0} | _tested(None, False))
    table = pd.DataFrame(rows, columns=[*COLUMNS, "p", "lack"])
    table["p_adjusted"] = holm(table["p"].to_numpy(np.float64))
    numbers = table[["difference", "p_adjusted", "seeds", "lack"]].itertuples(index=False, name=None)
    table["verdict"] = [verdict(*of_row) for of_row in numbers]
    return table[COLUMNS]


def _tested(one: Evidence | None, of_sequences: bool) -> dict[str, object]:
    """Return the measured columns of a comparison; p is NaN if no verdict is possible."""
    if one is None:
        return {"difference": np.nan, "low": np.nan, "high": np.nan, "p": np.nan, "pairs": 0, "seeds": 0, "lack": ""}
    gap, lack = gap_of_best(one.varied, one.variation), ""
    if one.of_images and not of_sequences:
        lack = UNKNOWN_SEQUENCES
    elif one.of_images and one.variation.units < MIN_CLUSTERS:
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
    """Return the verdict on a claim.

    Args:
        difference: Positive if the claim holds, NaN if it is not tested.
        p: Adjusted p-value of no difference, NaN without variation.
        seeds: Smallest number of trainings of a model.
        lack: Why no verdict is possible, in words; "" if one is possible.

    Returns:
        The verdict in words.
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
