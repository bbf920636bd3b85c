"""The paper's tables read back, and ours beside them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from corruptions import STANDARD_CORRUPTIONS
from reports.names import PAPER_ROBUST_MODELS, Labels
from reports.paper_numbers import paper_ablation, paper_ranks, paper_robustness, paper_scores
from reports.results import COLUMNS
from reports.tables.against_paper import (
    ablation_against_paper,
    ranks_against_paper,
    robustness_against_paper,
    scores_against_paper,
)

LABELS = Labels({"resnet": "R", "dinov2": "D", "endoarss": "E"})

ROBUST = PAPER_ROBUST_MODELS


def long(*rows: dict[str, Any]) -> pd.DataFrame:
    base = dict.fromkeys(COLUMNS, "") | {
        "variant": "r4-s0",
        "protocol": "authors_code",
        "severity": 0,
        "mask_warped": True,
    }
    return pd.DataFrame([base | row for row in rows], columns=list(COLUMNS))


def cell(dataset: str, backbone: str, architecture: str, weighting: str, **scores: float) -> list[dict[str, Any]]:
    about = {"dataset": dataset, "eval_dataset": dataset, "backbone": backbone, "architecture": architecture}
    return [about | {"weighting": weighting, "metric": metric, "value": value} for metric, value in scores.items()]


@pytest.mark.parametrize(("dataset", "count"), [("mtlesd", 29), ("mtlendovis", 29), ("mtlendovis_gen", 27)])
def test_every_row_of_the_paper_is_one_of_our_cells(dataset: str, count: int) -> None:
    table = paper_scores(dataset)
    assert table is not None and len(table) == count and table.index.is_unique
    backbones, architectures, weightings = (set(table.index.get_level_values(i)) for i in range(3))
    assert backbones == {"resnet", "dinov2", "endoarss"}
    assert architectures >= {"mmoe", "dselect_k", "tesla"} and weightings >= {"stch", "db_mtl"}
    assert paper_scores("mine") is None


def test_what_the_paper_prints_more_than_once_agrees() -> None:
    """Tables V to VII repeat rows of tables II and III."""
    ablation, ranks = paper_ablation(), paper_ranks()
    for dataset, weighting in (("mtlesd", "db_mtl"), ("mtlendovis", "stch")):
        scores = paper_scores(dataset)
        assert scores is not None
        best = scores.loc[("endoarss", "tesla", weighting), "miou"]
        assert best == ranks.loc[(dataset, 4, weighting), "miou"]
        of_dataset = ablation.loc[dataset]
        assert len(of_dataset) == 6 and of_dataset["miou"].to_dict() == scores.loc[of_dataset.index, "miou"].to_dict()
    robust = paper_robustness()
    corruptions = robust.drop(index="mean")
    assert set(corruptions.index) == set(STANDARD_CORRUPTIONS), "the standard list is the paper's"
    np.testing.assert_allclose(corruptions.mean(), robust.loc["mean"], atol=0.006)


def test_differences_are_ours_minus_the_papers() -> None:
    results = long(*cell("mtlesd", "endoarss", "tesla", "db_mtl", accuracy=0.5, miou=0.9, hd=10.0, ssim=0.9))
    found = scores_against_paper(results, "mtlesd", 4, LABELS, {("endoarss", "tesla", "db_mtl")})
    row = found.shown.loc[("E", "TESLA", "DB-MTL")]
    assert row["mIoU (%)", "ours"] == pytest.approx(90) and row["mIoU (%)", "paper"] == 92.16
    assert row["mIoU (%)", "difference"] == pytest.approx(-2.16) and row["HD", "difference"] == pytest.approx(
        10 - 13.25
    )
    assert np.isnan(row["DS (%)", "ours"]) and len(found.shown) == 1 and len(found.data) == 29
    assert found.note.startswith("28 of the paper's 29 rows are not compared, because this study has no cell")
    assert {"miou_ours", "miou_paper", "miou_difference"} <= set(found.data)


def test_seeds_are_averaged_and_other_ranks_left_out() -> None:
    rows = cell("mtlesd", "resnet", "mmoe", "moco", miou=0.5)
    other = [row | {"variant": "r4-s1", "value": 0.7} for row in rows] + [
        row | {"variant": "r8-s0", "value": 0.0} for row in rows
    ]
    found = scores_against_paper(long(*rows, *other), "mtlesd", 4, LABELS, {("resnet", "mmoe", "moco")})
    assert found.shown["mIoU (%)", "ours"].tolist() == pytest.approx([60])


def test_a_study_without_the_papers_cells_shows_its_rows() -> None:
    found = scores_against_paper(long(*cell("mtlesd", "mine", "mmoe", "moco", miou=0.5)), "mtlesd", 4, LABELS, set())
    assert len(found.shown) == 29 and found.shown.xs("ours", axis=1, level=1).isna().all().all()
    assert "none of the paper's cells" in found.note
    with pytest.raises(KeyError):
        scores_against_paper(long(), "mine", 4, LABELS, set())


def test_spreads_over_classes_stand_beside_the_papers() -> None:
    scores = {"accuracy": 0.6, "miou": 0.5, "accuracy_spread": 0.2, "miou_spread": 0.1}
    asked = {("mtlendovis", "resnet", "tesla", "db_mtl"), ("mtlesd", "resnet", "tesla", "db_mtl")}
    found = ablation_against_paper(long(*cell("mtlendovis", "resnet", "tesla", "db_mtl", **scores)), 4, LABELS, asked)
    assert found.shown["AC (%)", "ours"].isna().tolist() == [True, False], "a cell without results is a dash"
    row = found.shown.loc[("MTLEndovis", "R", "TESLA", "DB-MTL")]
    assert row["± AC", "ours"] == pytest.approx(20) and row["± AC", "paper"] == 25.05
    assert row["± mIoU", "difference"] == pytest.approx(10 - 9.80)


def test_ranks_are_compared_under_the_papers_weighting() -> None:
    """Table VI is under STCH on MTLEndovis, whatever its caption says of Table V."""
    rows = [
        row | {"variant": f"r{rank}-s0", "value": rank / 100}
        for rank in (1, 16)
        for row in cell("mtlendovis", "endoarss", "tesla", "stch", miou=0)
    ]
    other = [row | {"weighting": "db_mtl", "value": 0.99} for row in rows]
    asked = {("mtlendovis", rank, weighting) for rank in (1, 16) for weighting in ("stch", "db_mtl")}
    found = ranks_against_paper(long(*rows, *other), LABELS, asked)
    assert found.shown["mIoU (%)", "ours"].tolist() == pytest.approx([1, 16])
    assert found.shown.index.tolist() == [("MTLEndovis", "STCH", "1"), ("MTLEndovis", "STCH", "16")]
    assert "6 of the paper's 8 rows are not compared" in found.note
    assert found.note.endswith("weighting are compared: DB-MTL on MTLESD, STCH on MTLEndovis.")


def test_the_papers_mean_is_the_printed_one_where_all_corruptions_are_applied() -> None:
    names = [name for name in paper_robustness().index if name != "mean"]
    rows = [
        row | {"corruption": name, "severity": 3, "value": 0.5}
        for name in names
        for row in cell("mtlesd", "resnet", "mmoe", "db_mtl", accuracy=0.0, miou=0.0)
    ]
    found = robustness_against_paper(long(*rows), 4, LABELS, ROBUST)
    assert found.data.loc["mean", "accuracy_resnet_mmoe_paper"] == 78.59 and len(found.data) == 20
    nothing = robustness_against_paper(long(), 4, LABELS, ROBUST)
    assert len(nothing.data) == 20 and nothing.data["accuracy_resnet_mmoe_ours"].isna().all()


def test_robustness_is_averaged_over_what_the_study_applied() -> None:
    rows = [
        row | {"corruption": name, "severity": severity, "value": value}
        for name, values in (("smoke", (0.8, 0.4)), ("contrast", (0.6, 0.2)))
        for severity, value in enumerate(values, start=1)
        for row in cell("mtlesd", "endoarss", "tesla", "db_mtl", accuracy=0.0)
    ]
    unmoved = [row | {"mask_warped": False, "value": 0.0} for row in rows[:1]]
    found = robustness_against_paper(long(*rows, *unmoved), 4, LABELS, ROBUST)
    assert found.data.index.tolist() == ["smoke", "contrast", "mean"], "in the paper's order"
    assert found.data["accuracy_endoarss_tesla_ours"].tolist() == pytest.approx([60, 40, 50])
    assert found.data.loc["mean", "accuracy_endoarss_tesla_paper"] == pytest.approx((50.53 + 29.85) / 2)
    assert (
        found.data["miou_resnet_mmoe_ours"].isna().all()
        and found.note
        == "The table shows 2 of the paper's 19 corruptions. Our scores are means over the severities 1, 2."
    )
    without = robustness_against_paper(long(*rows), 4, LABELS, {*ROBUST} - {("resnet", "dselect_k", "db_mtl")})
    assert without.note.endswith(
        "Dashes: this study does not evaluate R DSelect-k DB-MTL under corruptions, but the paper does."
    )
