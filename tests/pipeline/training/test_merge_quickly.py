"""Merging in a study, without the merged models that the slow tests share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from endoarss.registry import list_mergers
from pipeline.study.cells import cells_of, merging_groups, models_of
from pipeline.study.loading import load_study
from pipeline.study.models import Study
from pipeline.study.robust_models import robust_models
from tests.pipeline.training.test_merging import JOINT, MAIN, TIES, A, B, failing, run, write_study


@pytest.fixture
def study(trees: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """The study of the slow tests, in an empty folder."""
    write_study(trees, tmp_path)
    monkeypatch.chdir(tmp_path)
    return load_study(Path("study.yaml"))


def test_a_group_is_all_mergers_with_and_without_surgery(study: Study) -> None:
    (group,) = merging_groups(study)
    assert [cell.id for cell in group.singles] == [A, B] and [cell.id for cell in group.joint] == [JOINT]
    assert len(group.merged) == 3 * len(list_mergers())
    assert {cell.surgery for cell in group.merged} == {0, 2, 8}
    assert {cell.merger for cell in group.merged} == set(list_mergers())
    assert f"{TIES}-surgery8" in {cell.id for cell in models_of(study)}
    assert [cell.id for cell in cells_of(study)] == [MAIN], "tables set the others beside nothing"
    shown = {cell.id for cell in robust_models(study)}
    assert {A, B, JOINT, MAIN, TIES, f"{TIES}-surgery8"} <= shown and f"{TIES}-surgery2" not in shown


@pytest.mark.usefixtures("study")
def test_two_models_are_merged_and_scored(capsys: Any) -> None:
    assert run("step", "build_dataset", "--dataset", "mtlesd") == 0
    assert run("train", "--cell", A) == run("train", "--cell", B) == 0
    assert run("merge", A, B, "--method", "averaging") == 0
    merged = TIES.replace("ties", "averaging")
    assert run("evaluate", "--cell", merged) == 0
    folder = Path("results/toy/cells") / merged
    assert set(json.loads((folder / "provenance.json").read_text())["merged_from"]) == {A, B}
    assert {"accuracy", "miou"} <= set(json.loads((folder / "metrics.json").read_text())["mtlesd"])
    assert "expected" in failing(capsys, "merge", A, A, "--method", "averaging")
