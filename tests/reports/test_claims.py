"""The paper's claims, on scores whose answer is known and on the paper's own tables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from reports.statistics import claims
from reports.statistics.claim_evidence import CLAIMS, RANK_CLAIM
from reports.statistics.claim_scores import Model, Score, Scores, cosine_scores
from reports.statistics.claims import (
    CONTRADICTED,
    DIFFERS_AGAINST,
    DIFFERS_AS_CLAIMED,
    FEW_SEEDS,
    FEW_SEQUENCES,
    LEANS_AGAINST,
    LEANS_TOWARDS,
    NO_DIFFERENCE,
    NOT_TESTED,
    SUPPORTED,
    verdict,
)
from reports.statistics.variation import Variation, holm
from reports.tables.comparison import claims_text, readable_claims

SEQUENCES = 9
NOISE = np.random.default_rng(0).normal(0, 0.01, 1 + SEQUENCES)
NOISE[0] = 0
TESLA = Model("endoarss", "tesla", "db_mtl", 4)


def score(value: float, noise: np.ndarray = NOISE, seeds: int = 3) -> Score:
    """A score that varies with the sequences alone."""
    return Score(value + noise, Variation(len(noise) - 1), seeds)


def scores(value: float, seeds: int = 3) -> dict[str, Score]:
    return {"accuracy": score(value, seeds=seeds), "miou": score(value / 2, seeds=seeds)}


def weigh(found: Scores, dataset: str = "mtlesd", asked: Scores | None = None) -> pd.DataFrame:
    complete = found if asked is None else asked
    return claims.test_claims(
        {dataset: found}, {dataset: complete}, 4, {dataset: "D"}, {dataset: "9 sequences"}, [dataset]
    )


def row(table: pd.DataFrame, claim: str, metric: str = "miou") -> pd.Series:
    chosen = table[(table["claim"] == claim) & (table["metric"] == metric)]
    assert len(chosen) == 1
    return chosen.iloc[0]


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((1, 0.01, 3, ""), SUPPORTED),
        ((-1, 0.01, 3, ""), CONTRADICTED),
        ((-1, 0.01, 2, ""), DIFFERS_AGAINST),
        ((1, 0.01, 2, ""), DIFFERS_AS_CLAIMED),
        ((1, 0.06, 3, ""), LEANS_TOWARDS),
        ((-1, 0.06, 1, ""), LEANS_AGAINST),
        ((1, np.nan, 3, ""), LEANS_TOWARDS),
        ((0, 1, 3, ""), NO_DIFFERENCE),
        ((np.nan, np.nan, 0, ""), NOT_TESTED),
        ((1, np.nan, 3, FEW_SEQUENCES), FEW_SEQUENCES),
    ],
)
def test_a_small_p_of_enough_trainings_decides(numbers: tuple[float, float, int, str], expected: str) -> None:
    assert verdict(*numbers) == expected


def wavering(value: float, seed: int, sequences: int = SEQUENCES, seeds: int = 3) -> dict[str, Score]:
    """Scores that differ from sequence to sequence by themselves, by about 0.03."""
    noise = np.random.default_rng(seed).normal(0, 0.03 / sequences, 1 + sequences)
    noise[0] = 0
    return {"miou": score(value, noise, seeds)}


def test_a_verdict_takes_six_sequences_and_three_trainings() -> None:
    for sequences, seeds, expected in ((9, 3, SUPPORTED), (9, 2, DIFFERS_AS_CLAIMED), (5, 3, FEW_SEQUENCES)):
        found = {
            TESLA: wavering(0.9, 1, sequences, seeds),
            replace(TESLA, architecture="mmoe"): wavering(0.7, 2, sequences, seeds),
        }
        over_mmoe = row(weigh(found), "TESLA is better than MMoE")
        assert over_mmoe["verdict"] == expected
        assert over_mmoe["low"] < over_mmoe["difference"] < over_mmoe["high"] and over_mmoe["seeds"] == seeds


def test_images_of_unknown_sequences_give_no_verdict() -> None:
    """However many they are: those of one video are alike."""
    found = {TESLA: wavering(0.9, 1, 41), replace(TESLA, architecture="mmoe"): wavering(0.7, 2, 41)}
    table = claims.test_claims({"mtlesd": found}, {"mtlesd": found}, 4, {"mtlesd": "D"}, {"mtlesd": "41 images"}, [])
    over_mmoe = row(table, "TESLA is better than MMoE")
    assert over_mmoe["verdict"] == claims.UNKNOWN_SEQUENCES and np.isnan(over_mmoe["p_adjusted"])
    assert over_mmoe["low"] < over_mmoe["difference"] < over_mmoe["high"]


def test_the_best_is_compared_without_choosing_it() -> None:
    """Against one other the interval is that of the difference; against twenty equal ones its upper end is higher, for any of them may be
    the best, and its lower end no higher."""
    mine = {TESLA: wavering(0.70, 0)}
    others = [Model("resnet", "mmoe", f"w{i}", 4) for i in range(20)]
    one = row(weigh(mine | {others[0]: wavering(0.68, 1)}), "EndoARSS is best on each dataset")
    many = {other: wavering(0.68 + 0.001 * (i == 3), i + 1) for i, other in enumerate(others)}
    table = weigh(mine | many)
    best = row(table, "EndoARSS is best on each dataset")
    assert best["difference"] == pytest.approx(0.019) and one["difference"] == pytest.approx(0.02)
    gaps = [mine[TESLA]["miou"].minus(found["miou"]) for found in many.values()]
    ends = np.array([_ends(gap, 20) for gap in gaps])
    assert best["low"] == pytest.approx(min(_ends(gap, 1)[0] for gap in gaps))
    assert best["high"] == pytest.approx(ends[:, 1].min())


def _ends(gap: Score, tests: int) -> tuple[float, float]:
    """The two ends of a t interval, the upper with Bonferroni's bound."""
    varied = gap.varied[1:]
    error = np.sqrt(8 / 9 * ((varied - varied.mean()) ** 2).sum())
    return gap.varied[0] - stats.t.ppf(0.975, 8) * error, gap.varied[0] + stats.t.ppf(1 - 0.025 / tests, 8) * error


def test_p_counts_all_tests_of_a_study() -> None:
    """Holm: the smallest p-value times their number, the next times one less, and none below one before it."""
    found = {TESLA: wavering(0.72, 1), replace(TESLA, architecture="mmoe"): wavering(0.7, 2)}
    alone = weigh(found)
    tested = alone[alone["p_adjusted"].notna()]
    assert len(tested) == 2, "against MMoE, and against the best other, which is the same"
    p = float(tested["p_adjusted"].iloc[0]) / 2
    both = claims.test_claims(
        {"mtlesd": found, "mtlendovis": found},
        {"mtlesd": found, "mtlendovis": found},
        4,
        {"mtlesd": "D", "mtlendovis": "E"},
        {},
        ["mtlesd", "mtlendovis"],
    )
    np.testing.assert_allclose(both["p_adjusted"].dropna(), 4 * p)
    np.testing.assert_allclose(holm(np.array([0.01, np.nan, 0.03, 0.02, 0.9])), [0.04, np.nan, 0.06, 0.06, 0.9])


def test_pairs_differ_in_one_thing_alone() -> None:
    """Noise is shared, so that paired differences are exact: the interval has no width."""
    found = {
        TESLA: scores(0.9),
        replace(TESLA, architecture="mmoe"): scores(0.7),
        replace(TESLA, architecture="mmoe", weighting="stch"): scores(0.1),  # no TESLA beside it
        replace(TESLA, backbone="dinov2"): scores(0.8),
        replace(TESLA, backbone="dinov2", architecture="mmoe"): scores(0.5),
        replace(TESLA, rank=8): scores(0.95),
    }
    table = weigh(found)
    over_mmoe = row(table, "TESLA is better than MMoE", "accuracy")
    assert over_mmoe["difference"] == pytest.approx((0.2 + 0.3) / 2) and over_mmoe["pairs"] == 2
    assert over_mmoe["low"] == pytest.approx(over_mmoe["high"]) and over_mmoe["verdict"] == SUPPORTED
    assert row(table, "SMA improves DINOv2", "accuracy")["difference"] == pytest.approx((0.1 + 0.2) / 2)
    rank = row(table, RANK_CLAIM, "accuracy")
    assert rank["difference"] == pytest.approx(-0.05) and rank["verdict"] == CONTRADICTED
    others = [weigh(found, dataset) for dataset in ("mtlendovis", "mtlendovis_gen", "own")]
    assert all(set(one.loc[one["claim"] == RANK_CLAIM, "verdict"]) == {NOT_TESTED} for one in others), (
        "DB-MTL has no row there"
    )
    best = row(table, "EndoARSS is best on each dataset", "accuracy")
    assert best["difference"] == pytest.approx(0.1), "rank 8 is not of the study"
    untested = table[table["verdict"] == NOT_TESTED]
    assert set(untested["claim"]) == {
        "TESLA is better than DSelect-k",
        "DINOv2 is better than ResNet101",
        "Multi-task segments better than segmentation alone",
        "Under TESLA the tasks' gradients conflict less",
        "EndoARSS is most robust on average",
    }


def test_gradients_robustness_and_single_tasks() -> None:
    single = Model("dinov2", "single_segmentation", "equal", 4)
    multi = replace(TESLA, backbone="dinov2")
    mmoe = replace(TESLA, architecture="mmoe")
    found = {
        TESLA: scores(0.9) | {"mPC miou": score(0.6)},
        mmoe: scores(0.9),
        multi: scores(0.8) | {"mPC miou": score(0.7)},
        single: {"miou": score(0.3)},
    }
    for model, cosine in cosine_scores({TESLA: [0.10, 0.11, 0.09], mmoe: [0.30, 0.31, 0.29]}).items():
        found[model]["cosine"] = cosine
    table = weigh(found)
    gradients = row(table, "Under TESLA the tasks' gradients conflict less", "cosine")
    assert gradients["difference"] == pytest.approx(-0.2) and gradients["verdict"] == CONTRADICTED
    error = np.sqrt(2 * np.var([0.10, 0.11, 0.09], ddof=1) / 3)
    assert gradients["high"] - gradients["difference"] == pytest.approx(stats.t.ppf(0.975, 4) * error)
    assert gradients["over"] == "trainings alone"
    for model, cosine in cosine_scores({TESLA: [0.1], mmoe: [0.3]}).items():
        found[model]["cosine"] = cosine
    assert row(weigh(found), "Under TESLA the tasks' gradients conflict less", "cosine")["verdict"] == FEW_SEEDS
    assert row(table, "EndoARSS is most robust on average", "mPC miou")["verdict"] == CONTRADICTED
    assert row(table, "Multi-task segments better than segmentation alone")["difference"] == pytest.approx(0.1)


def test_the_papers_own_tables_support_its_claims_where_they_can() -> None:
    """Its differences, from its tables: what the note sets beside ours."""
    everything = {
        Model(b, a, w, 4): scores(0.5)
        for b in ("resnet", "dinov2", "endoarss")
        for a in ("mmoe", "dselect_k", "tesla")
        for w in ("db_mtl", "stch")
    } | {Model("dinov2", "single_segmentation", "equal", 4): scores(0.5), replace(TESLA, rank=8): scores(0.5)}
    table = weigh({m: s | {"mPC miou": s["miou"]} for m, s in everything.items()})
    known = table[table["paper"].notna() & (table["metric"] != "accuracy")]
    assert (known["paper"] > 0).all() and len(known) == 8
    assert row(table, "EndoARSS is best on each dataset")["paper"] == pytest.approx(0.9216 - 0.9199)
    assert row(table, RANK_CLAIM)["paper"] == pytest.approx(0.9216 - 0.9195)
    assert row(table, "EndoARSS is most robust on average", "mPC miou")["paper"] == pytest.approx(0.7957 - 0.7288)


def test_a_comparison_that_lost_its_cells_is_said() -> None:
    """Two of three pairs are left of one claim, none of another."""
    mmoe = replace(TESLA, architecture="mmoe")
    whole = {
        replace(model, backbone=b): scores(0.5) for model in (TESLA, mmoe) for b in ("resnet", "dinov2", "endoarss")
    }
    found = {model: one for model, one in whole.items() if model.backbone != "dinov2"}
    table = weigh(found, asked=whole)
    left = row(table, "TESLA is better than MMoE")
    assert (left["pairs"], left["asked"]) == (2, 3)
    lost = row(table, "SMA improves DINOv2")
    assert (lost["pairs"], lost["asked"]) == (0, 2) and lost["verdict"] == NOT_TESTED
    text = claims_text(readable_claims(table), "m", "No results of X: not trained yet.")
    assert "Only 2 of 3 pairs of models have results." in text and "No results of X" in text
    assert (
        "D, mIoU: the difference (with SMA minus without SMA) was not tested, because none of the 2 pairs of models has"
        in text
    )
    assert "Only" not in claims_text(readable_claims(weigh(whole)), "m", "n")


def test_the_note_says_each_claim_and_its_verdict() -> None:
    table = weigh({TESLA: scores(0.9), replace(TESLA, architecture="mmoe"): scores(0.7)})
    text = claims_text(readable_claims(table), "SYNTHETIC DATA", "Intervals.")
    for claim in CLAIMS:
        assert f"## {claim.name}\n" in text
    assert (
        "the verdict is **supported**" in text
        and "SYNTHETIC DATA" in text
        and "The claim was not tested. The test needs" in text
    )
    untested = readable_claims(table).reset_index().query("Claim == @RANK_CLAIM").iloc[0]
    assert untested["Compared"].startswith("needs EndoARSS TESLA with the weighting of the paper's Table VI")
    assert "nan" not in text
    shown = readable_claims(table)
    assert len(shown) == len(table) and not shown.isna().any().any()


def test_nothing_to_test() -> None:
    table = weigh({})
    assert (table["verdict"] == NOT_TESTED).all() and len(table) == len(CLAIMS)
    assert "nan" not in claims_text(readable_claims(table), "m", "n")
