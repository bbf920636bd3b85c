"""From a plan to stages: what is shared stands once, and settings are followed key by key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import InputError
from pipeline.study.cells import cells_of
from pipeline.study.fingerprints import cell_settings
from pipeline.study.folders import roots_as_written, roots_of
from pipeline.study.loading import make_study
from pipeline.workflow import record_restore as version_results
from pipeline.workflow.dvc_params import param_keys
from pipeline.workflow.dvc_stages import dvc_stages
from pipeline.workflow.snakemake_jobs import Job, read_plan

PLAN = """\
Building DAG of jobs...
[Mon Nov 23 09:23:45 2026]
rule train_cell:
    input: data/x/manifest.csv, endoarss/a.py, endoarss/b.py
    output: results/toy/cells/mtlesd/resnet/hps/equal/r4-s0/model.safetensors, results/toy/cells/mtlesd/resnet/hps/equal/r4-s0/history.csv
    log: results/toy/logs/train_cell.log
    jobid: 3
    reason: Forced execution
    wildcards: cell=mtlesd/resnet/hps/equal/r4-s0
    resources: tmpdir=/tmp

[Mon Nov 23 09:23:45 2026]
localrule all:
    input: results/toy/results.parquet
    jobid: 0
    reason: Forced execution

[Mon Nov 23 09:23:46 2026]
rule draw_datasets:
    input: data/x/manifest.csv
    output: results/toy/figures/a.png
    jobid: 1
"""


def test_a_plan_is_read_job_by_job() -> None:
    drawn, train = read_plan(PLAN)
    assert train.name == "train_cell-mtlesd-resnet-hps-equal-r4-s0" and drawn.name == "draw_datasets"
    assert train.inputs == ("data/x/manifest.csv", "endoarss/a.py", "endoarss/b.py")
    assert [Path(path).name for path in train.outputs] == ["model.safetensors", "history.csv"]
    assert train.wildcards == {"cell": "mtlesd/resnet/hps/equal/r4-s0"} and not drawn.wildcards


def job(cell: str, *own: str) -> Job:
    return Job(
        "train_cell", {"cell": cell}, ("data/x/manifest.csv", "endoarss/a.py", *own), (f"results/toy/cells/{cell}/m",)
    )


def test_shared_code_stands_once_and_own_code_with_its_job(minimal: Callable[..., dict[str, Any]]) -> None:
    given = minimal()
    study = make_study(given)
    cell = cells_of(study)[0].id
    jobs = [job(cell, "endoarss/weightings/equal.py"), job(f"{cell}1", "endoarss/weightings/stch.py")]
    stages = dvc_stages(study, given, [jobs[0]])
    assert "code-train_cell" not in stages, "of a rule with one job nothing is shared"
    jobs[1] = Job("train_cell", {"cell": cell}, jobs[1].inputs, jobs[1].outputs)
    stages = dvc_stages(study, given, jobs)
    assert stages["code-train_cell"]["deps"] == ["endoarss/a.py"]
    assert f"train_cell-{cell.replace('/', '-')}" in stages
    deps = stages[f"train_cell-{cell.replace('/', '-')}"]["deps"]
    assert "results/toy/code/train_cell.txt" in deps and "endoarss/a.py" not in deps
    assert deps[-1].startswith("endoarss/weightings/")


@pytest.mark.parametrize(
    ("key", "value", "follows"),
    [
        ("title", "Another", False),
        ("backbones.resnet.label", "Another", False),
        ("backbones.resnet.arguments", {"channels": [8, 8, 8, 8]}, True),
        ("heads", {"activity_channels": 32}, True),
        ("weightings.equal", {}, True),
        ("weightings.stch", {"mu": 0.5}, False),
        ("architectures.hps", {}, True),
        ("architectures.mmoe", {"experts": 3}, False),
        ("training.batch_size", 8, True),
        ("training.checkpoint_every", 2, False),
        ("lora.alpha", 2, True),
        ("robustness.seed", 3, False),
    ],
)
def test_a_training_follows_its_own_settings_alone(
    minimal: Callable[..., dict[str, Any]], key: str, value: Any, follows: bool
) -> None:
    """A key is among a training's if and only if another value of it gives other settings of the cell."""
    given = minimal(robustness={"cells": [{}]})
    *folders, last = key.split(".")
    inner = given
    for folder in folders:
        inner = inner.setdefault(folder, {})
    inner[last] = value
    study = make_study(given)
    cell = cells_of(study)[0]
    assert (key in param_keys(study, given, "train_cell", {"cell": cell.id})) is follows
    without = {k: v for k, v in inner.items() if k != last}
    if last not in ("label", "title") and value:
        inner.clear()
        inner.update(without)
        before = cell_settings(make_study(given), cell)
        assert (before != cell_settings(study, cell)) is follows


def test_what_a_study_does_not_say_is_no_key_of_it(minimal: Callable[..., dict[str, Any]]) -> None:
    """DVC refuses a key that params.yaml lacks."""
    given = minimal()
    keys = param_keys(make_study(given), given, "train_cell", {"cell": "mtlesd/resnet/hps/equal/r4-s0"})
    assert keys == ["backbones.resnet.model", "backbones.resnet.weights", "input_size", "training.schedules.mtlesd"]


def test_values_of_the_environment_stay_out(
    minimal: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither what DVC versions nor what Snakemake keeps of a job's settings holds them."""
    monkeypatch.setenv("MY_DATA_TOKEN", "do-not-tell")
    given = minimal(raw={"esd": "/data/${MY_DATA_TOKEN}/esd"})
    study = make_study(given)
    assert roots_as_written(study, "mtlesd") == ["/data/${MY_DATA_TOKEN}/esd"]
    assert str(roots_of(study, "mtlesd")["esd"]) == "/data/do-not-tell/esd"
    build = Job("build_dataset", {"dataset": "mtlesd"}, ("pipeline/a.py",), ("data/datasets/mtlesd/manifest.csv",))
    with pytest.raises(InputError, match="holds no values of environment variables. Make a link"):
        dvc_stages(study, given, [build])


def test_recording_outside_a_repository_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="no git and DVC repository"):
        version_results.record()
    (tmp_path / ".git").mkdir()
    (tmp_path / ".dvc").mkdir()
    with pytest.raises(InputError, match=r"dvc\.yaml: missing. Write it: endoarss use params\.yaml"):
        version_results.restore()
