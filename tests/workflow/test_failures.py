"""What breaks costs only itself: the rest runs, the report names the gap, and the next run does what failed, alone."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
pytestmark = pytest.mark.slow

MOODS = '''\
"""Weightings that fail while a file says so."""

from pathlib import Path

import torch

from endoarss.registry import register_weighting
from endoarss.weightings.base import LossWeighting


@register_weighting("diverging")
class Diverging(LossWeighting):
    def combine(self, losses):
        if Path("bad_mood").exists():
            losses = losses * float("nan")
        return losses.sum(), torch.ones_like(losses)


@register_weighting("greedy")
class Greedy(LossWeighting):
    def combine(self, losses):
        if Path("bad_mood").exists():
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 80.00 GiB.")
        return losses.sum(), torch.ones_like(losses)
'''


def jobs(said: str) -> dict[str, int]:
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", said, re.MULTILINE)}


def test_a_cell_that_fails_leaves_a_gap_and_is_tried_again_alone(
    link_checkout: Callable[[Path], Path], snakemake: Run, small_study: Callable[..., str], tmp_path: Path
) -> None:
    folder = link_checkout(tmp_path)
    weightings = ["equal", "diverging", "greedy"]
    (folder / "moody.yaml").write_text(small_study("moody", components=["moods"], weightings=weightings))
    (folder / "moods.py").write_text(MOODS)
    (folder / "bad_mood").touch()
    run = snakemake(folder, study="moody.yaml")
    assert run.returncode != 0
    results = folder / "results/moody"
    done = {path.parts[-3] for path in results.glob("cells/mtlesd/resnet/hps/*/r4-s0/metrics.json")}
    assert done == {"equal"}
    # Both are in the log of the run, and in what people read.
    reasons = {"diverging": "not finite", "greedy": "out of memory"}
    page = (results / "report/index.html").read_text()
    table = (results / "tables/table2_mtlesd.tex").read_text()
    for name, reason in reasons.items():
        assert reason in run.stdout + run.stderr and reason in page and reason in table, name
    assert "training failed" in table

    (folder / "bad_mood").unlink()
    run = snakemake(folder, study="moody.yaml")
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-6000:]
    ran = jobs(run.stdout + run.stderr)
    assert (
        ran["train_cell"] == 2
        and ran["evaluate_cell"] == 2
        and "build_dataset" not in ran
        and "score_references" not in ran
    )
    scores = pd.read_csv(results / "tables/table2_mtlesd.csv")
    assert (
        scores.query("backbone_label != 'reference'")["miou"].notna().all()
        and "training failed" not in (results / "report/index.html").read_text()
    )
    assert "Nothing to be done" in (plan := snakemake(folder, "-n", study="moody.yaml")).stdout + plan.stderr
