"""The demo as people run it: what it must reach."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

CELL = ["dataset", "backbone", "architecture", "weighting"]


@pytest.fixture(scope="module")
def results(
    link_checkout: Callable[[Path], Path],
    snakemake: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> pd.DataFrame:
    """All measurements of the demo, run from nothing."""
    folder = link_checkout(tmp_path_factory.mktemp("demo"))
    run = snakemake(folder, study="studies/demo.yaml")
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-8000:]
    return pd.read_parquet(folder / "results/demo/results.parquet")


@pytest.mark.slow
def test_every_cell_learns_and_corruption_costs(results: pd.DataFrame) -> None:
    """Every cell beats the majority and the empty mask; the median by 15 points of accuracy and 0.2 of foreground IoU."""
    whole = results[(results["class"] == "") & (results["dataset"] == results["eval_dataset"])]
    clean = whole[whole["corruption"] == ""]
    cells = clean[clean["backbone"] != "reference"]
    majority = clean[clean["architecture"] == "majority_activity"]
    majority = majority[majority["metric"] == "accuracy"].set_index("dataset")["value"]
    accuracy = cells[cells["metric"] == "accuracy"]
    margin = accuracy["value"].to_numpy() - majority.loc[accuracy["dataset"]].to_numpy()
    foreground = cells[cells["metric"] == "miou_foreground"]["value"]
    assert len(cells[CELL].drop_duplicates()) <= 20
    assert (margin > 0).all() and pd.Series(margin).median() >= 0.15
    assert (foreground > 0).all() and foreground.median() >= 0.2

    miou = whole[(whole["metric"] == "miou") & whole["mask_warped"]]
    corrupted = miou[miou["corruption"] != ""].groupby(CELL)["value"].mean()
    before = miou[miou["corruption"] == ""].set_index(CELL)["value"].loc[corrupted.index]
    assert (before - corrupted > 0.05).all()
