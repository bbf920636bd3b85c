"""Tests the paper's claims: how large each difference is, and whether it exceeds the variation of test images and trainings.

A claim compares models that differ only in one component, or the best models of two groups. The verdicts `SUPPORTED` and `CONTRADICTED`
require three trainings per model and a small p-value after Holm's adjustment for the number of tests; for scores on test images, they
also require six known sequences. The same functions compute the differences in the paper's tables, which have no intervals.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import numpy as np
import pandas as pd

from reports.statistics.claim_evidence import CLAIMS, RANK_CLAIM, Evidence
from reports.statistics.claim_scores import BEST_RANK, Scores, paper_claim_scores
from reports.statistics.variation import COVERAGE, MIN_SEEDS, MIN_SEQUENCES, Variation, gap_of_best, holm

SUPPORTED = "supported"
CONTRADICTED = "contradicted"
DIFFERS_AS_CLAIMED = "differs for these trained models, as claimed"
DIFFERS_AGAINST = "differs for these trained models, against the claim"
LEANS_TOWARDS = "not decided, leans towards it"
LEANS_AGAINST = "not decided, leans against it"
NO_DIFFERENCE = "not decided, no difference"
FEW_SEQUENCES = f"not decided, fewer than {MIN_SEQUENCES} sequences"
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
# The entry of the column "over" for metrics that use no test images.
_OVER_TRAININGS = "trainings alone"


def test_claims(
    results: Mapping[str, Scores],
    expected: Mapping[str, Scores],
    rank: int,
    titles: Mapping[str, str],
    interval_over: Mapping[str, str],
    with_sequences: Collection[str],
) -> pd.DataFrame:
    """Test every claim on every dataset.

    Args:
        results: Scores by dataset.
        expected: By dataset, placeholder scores of all models of the study, with and without results. They define the comparisons that
            are possible when the study is complete.
        rank: Rank of the study's adapters; only the claim about ranks uses models with other ranks.
        titles: Title of each dataset, as readers see it.
        interval_over: By dataset, the sequences and images that its intervals are computed over, in words.
        with_sequences: Datasets in which the sequence of every image is known. Other datasets get no verdict, because images of one video
            are not independent.

    Returns:
        A table with `COLUMNS`. `difference` is a difference of shares (from 0 to 1) or of cosines, NaN if the claim is not tested.
        `low` and `high` are the ends of its interval, and `over` says what the interval is computed over. `paper` is the same difference
        in the paper's tables, NaN if the paper does not contain it. `pairs` is the number of compared pairs, `asked` the number in a
        complete study. `p_adjusted` is adjusted by Holm's method over all rows with a p-value. It is NaN if the sequences
        are too few or not known, or, for cosines, if the seeds are too few.
    """
    rows: list[dict[str, object]] = []
    for claim in CLAIMS:
        for dataset, complete in expected.items():
            own, paper = results.get(dataset, {}), paper_claim_scores(dataset)
            if claim.name != RANK_CLAIM:
                own, complete, paper = _of_rank(own, rank), _of_rank(complete, rank), _of_rank(paper, BEST_RANK)
            measured, printed = _by_comparison(claim.find(own, dataset)), _by_comparison(claim.find(paper, dataset))
            for key, possible in _by_comparison(claim.find(complete, dataset)).items():
                names = {"claim": claim.name, "dataset": titles[dataset], "metric": possible.metric}
                of_paper = gap_of_best(printed[key].varied, Variation()).difference if key in printed else np.nan
                over = interval_over.get(dataset, "") if possible.uses_images else _OVER_TRAININGS
                facts = {"compared": possible.compared, "paper": of_paper, "asked": possible.pairs, "over": over}
                rows.append(names | facts | _measured_columns(measured.get(key), dataset in with_sequences))
        if not any(row["claim"] == claim.name for row in rows):
            rows.append({"claim": claim.name, "compared": claim.needs, "asked": 0} | _measured_columns(None, False))
    table = pd.DataFrame(rows, columns=[*COLUMNS, "p", "undecidable"])
    table["p_adjusted"] = holm(table["p"].to_numpy(np.float64))
    numbers = table[["difference", "p_adjusted", "seeds", "undecidable"]].itertuples(index=False, name=None)
    table["verdict"] = [verdict(*of_row) for of_row in numbers]
    return table[COLUMNS]


def _measured_columns(evidence: Evidence | None, has_sequences: bool) -> dict[str, object]:
    """Return the measured columns of a comparison; p is NaN if the data are too few for a test."""
    if evidence is None:
        nothing = dict.fromkeys(("difference", "low", "high", "p"), np.nan)
        return {**nothing, "pairs": 0, "seeds": 0, "undecidable": ""}
    gap, undecidable = gap_of_best(evidence.varied, evidence.variation), ""
    if evidence.uses_images and not has_sequences:
        undecidable = UNKNOWN_SEQUENCES
    elif evidence.uses_images and evidence.variation.units < MIN_SEQUENCES:
        undecidable = FEW_SEQUENCES
    elif not evidence.uses_images and evidence.seeds < MIN_SEEDS:
        undecidable = FEW_SEEDS
    numbers: dict[str, object] = {"difference": gap.difference, "low": gap.low, "high": gap.high}
    numbers["p"] = np.nan if undecidable else gap.p
    return numbers | {"pairs": evidence.pairs, "seeds": evidence.seeds, "undecidable": undecidable}


def _by_comparison(comparisons: Iterator[Evidence]) -> dict[tuple[str, str], Evidence]:
    return {(evidence.metric, evidence.compared): evidence for evidence in comparisons}


def _of_rank(scores: Scores, rank: int) -> Scores:
    return {model: by_metric for model, by_metric in scores.items() if model.rank == rank}


def verdict(difference: float, p: float, seeds: int, undecidable: str) -> str:
    """Return the verdict on a claim.

    Args:
        difference: The measured difference, positive if it agrees with the claim; NaN if the claim is not tested.
        p: Adjusted p-value of no difference, NaN if there is none.
        seeds: The smallest number of seeds of all compared models.
        undecidable: The verdict if the data are too few for a test, such as `FEW_SEQUENCES`; "" otherwise.

    Returns:
        The verdict in words.
    """
    if np.isnan(difference):
        return NOT_TESTED
    if undecidable:
        return undecidable
    if p < 1 - COVERAGE:
        if seeds < MIN_SEEDS:
            return DIFFERS_AS_CLAIMED if difference > 0 else DIFFERS_AGAINST
        return SUPPORTED if difference > 0 else CONTRADICTED
    return NO_DIFFERENCE if difference == 0 else LEANS_TOWARDS if difference > 0 else LEANS_AGAINST
