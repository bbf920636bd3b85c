"""The paper's claims, on scores whose answer is known and on the paper's own tables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from reports.statistics.claims import (
    AGAINST,
    CLAIMS,
    CONTRADICTED,
    EQUAL,
    LEANS,
    NOT_TESTED,
    RANK_CLAIM,
    SUPPORTED,
    Model,
    Scores,
    verdict,
    weigh_claims,
)
from reports.tables.comparison import claims_text, readable_claims

NOISE = np.random.default_rng(0).normal(0, 0.01, 1001)
NOISE[0] = 0
TESLA = Model("endoarss", "tesla", "db_mtl", 4)


def scores(value: float) -> dict[str, np.ndarray]:
    return {"accuracy": value + NOISE, "miou": value / 2 + NOISE}


def weigh(found: Scores, dataset: str = "mtlesd", asked: Scores | None = None) -> pd.DataFrame:
    complete = found if asked is None else asked
    return weigh_claims({dataset: found}, {dataset: complete}, 4, {dataset: "D"}, {dataset: "9 sequences"})


def row(table: pd.DataFrame, claim: str, metric: str = "miou") -> pd.Series:
    chosen = table[(table["claim"] == claim) & (table["metric"] == metric)]
    assert len(chosen) == 1
    return chosen.iloc[0]


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((1, 0.5, 2), SUPPORTED),
        ((-1, -2, -0.5), CONTRADICTED),
        ((1, -0.5, 2), LEANS),
        ((-1, -2, 0.5), AGAINST),
        ((1, np.nan, np.nan), LEANS),
        ((0, 0, 0), EQUAL),
        ((np.nan, np.nan, np.nan), NOT_TESTED),
        ((1, 0, 2), LEANS),
    ],
)
def test_an_interval_that_excludes_zero_decides(numbers: tuple[float, float, float], expected: str) -> None:
    assert verdict(*numbers) == expected


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
    found = {
        TESLA: scores(0.9) | {"mPC miou": 0.6 + NOISE, "cosine": 0.1 + NOISE},
        replace(TESLA, architecture="mmoe"): scores(0.9) | {"cosine": 0.3 + NOISE},
        multi: scores(0.8) | {"mPC miou": 0.7 + NOISE},
        single: {"miou": 0.3 + NOISE},
    }
    table = weigh(found)
    assert row(table, "Under TESLA the tasks' gradients conflict less", "cosine")["difference"] == pytest.approx(-0.2)
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
    assert "Only 2 of 3 comparisons have results." in text and "No results of X" in text
    assert "D, mIoU: not tested, none of 2 comparisons has results." in text
    assert "Only" not in claims_text(readable_claims(weigh(whole)), "m", "n")


def test_the_note_says_each_claim_and_its_verdict() -> None:
    table = weigh({TESLA: scores(0.9), replace(TESLA, architecture="mmoe"): scores(0.7)})
    text = claims_text(readable_claims(table), "SYNTHETIC DATA", "Intervals.")
    for claim in CLAIMS:
        assert f"## {claim.name}\n" in text
    assert "**Supported**" in text and "SYNTHETIC DATA" in text and "Not tested: it takes" in text
    assert "nan" not in text
    shown = readable_claims(table)
    assert len(shown) == len(table) and not shown.isna().any().any()


def test_nothing_to_test() -> None:
    table = weigh({})
    assert (table["verdict"] == NOT_TESTED).all() and len(table) == len(CLAIMS)
    assert "nan" not in claims_text(readable_claims(table), "m", "n")
