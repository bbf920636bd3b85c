"""Tables of chosen cells, of ranks and of cost, and the figure of trainings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from reports.figures.history import TrainingHistory, draw_histories
from reports.results import COLUMNS, of_rank
from reports.tables import scores as tables
from tests.reports.conftest import row


@pytest.fixture
def ranks() -> pd.DataFrame:
    """One model with two ranks and two seeds, and a reference."""
    cell = {"backbone": "e", "backbone_label": "E", "architecture": "tesla", "weighting": "db_mtl"}
    rows = [
        row(**cell, dataset="d", eval_dataset=on, variant=f"r{rank}-s{seed}", seed=seed, metric="miou", value=value)
        for rank, seed, value in ((1, 0, 0.1), (1, 1, 0.3), (16, 0, 0.6), (16, 1, 0.8))
        for on in ("d", "other")
    ]
    rows.append(
        row(backbone="reference", backbone_label="reference", dataset="d", eval_dataset="d", metric="miou", value=0.0)
    )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def test_a_rank_is_told_by_its_whole_number(ranks: pd.DataFrame) -> None:
    """Rank 1 is not rank 16; references have none and stay."""
    assert set(of_rank(ranks, 1)["variant"]) == {"r1-s0", "r1-s1", ""}
    assert len(of_rank(ranks, 16)) == 5


def test_rows_are_means_over_seeds_of_their_own_cell(ranks: pd.DataFrame) -> None:
    rows = [tables.Row(("D", str(rank)), "d", "e", "tesla", "db_mtl", rank) for rank in (1, 16)]
    table = tables.table_of_rows(ranks, rows, ["Dataset", "Rank"])
    assert table.index.tolist() == [("D", "1"), ("D", "16")]
    np.testing.assert_allclose(table["miou"], [20, 70])
    np.testing.assert_allclose(table["miou_std"], [np.std([10, 30], ddof=1)] * 2)
    assert list(table) == ["miou", "miou_std"]
    assert list(tables.readable_rows(table, "standard")) == ["mIoU (%)", "± mIoU (%)"]


def test_tables_of_scores_hold_one_rank(ranks: pd.DataFrame) -> None:
    table = tables.table_of_scores(of_rank(ranks, 16), "d", ["E"])
    assert table.loc[("E", "tesla", "db_mtl"), "miou"] == pytest.approx(70)


def test_cost_names_device_and_parameters() -> None:
    speed = {"images_per_second": 12.4, "memory_mib": 900.2}
    cost = {"dataset": "D", "backbone": "E", "architecture": "DSelect-k", "weighting": "MoCo", "rank": 4}
    cost |= {
        "device": "CPU",
        "parameters": {"trained": 10, "total": 100},
        "cost": {"training": speed, "inference": speed},
        "latency_ms": 3.25,
    }
    table = tables.table_cost([cost])
    assert table.index.tolist() == [("D", "E", "DSelect-k", "MoCo", 4)]
    assert table.iloc[0].tolist() == [10, 100, 12, 900, 12, 900, 3.25, "CPU"]
    assert tables.table_cost([{**cost, "experts": "2 / 1"}, cost])["Experts"].tolist()[0] == "2 / 1"


def history(seed: int, cosine: bool = True) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    rows = pd.DataFrame(
        {"epoch": range(1, 6), "loss_activity": random.random(5), "loss_segmentation": random.random(5)}
    )
    rows["weight_activity"] = rows["weight_segmentation"] = 0.5
    if cosine:
        rows["cosine_activity_segmentation"] = random.uniform(-1, 1, 5)
        rows["gradient_norm_activity"] = rows["gradient_norm_segmentation"] = random.random(5)
    return rows


@pytest.mark.slow
def test_figure_of_trainings_is_the_same_from_the_same(tmp_path: Path) -> None:
    histories = [
        TrainingHistory("A", "tesla", "db_mtl", history(0)),
        TrainingHistory("A", "mmoe", "moco", history(1)),
        TrainingHistory("B", "single_activity", "equal", history(2, cosine=False)[["epoch", "loss_activity"]]),
    ]
    written = []
    for attempt in "ab":
        png, pdf = tmp_path / f"{attempt}.png", tmp_path / f"{attempt}.pdf"
        draw_histories(histories, "Toy", "SYNTHETIC DATA", png, pdf)
        written.append((png.read_bytes(), pdf.read_bytes()))
    assert written[0] == written[1]
    assert np.asarray(Image.open(tmp_path / "a.png").convert("L")).std() > 5
    draw_histories(histories[2:], "Toy", "SYNTHETIC DATA", tmp_path / "one.png", tmp_path / "one.pdf")
    assert Image.open(tmp_path / "one.png").height < Image.open(tmp_path / "a.png").height
