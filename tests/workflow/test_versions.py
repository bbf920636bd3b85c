"""Snakemake and DVC together, in a real repository with a real remote: what changed is made again, and nothing else."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest

from tests.workflow.recorded import DB_MTL, MINI, RESNET, STCH, environment, made, planned, shell

pytestmark = pytest.mark.slow
REPORTS = {"collect_results", "make_tables", "draw_figures", "make_page", "write_paper"}


@pytest.fixture
def repository(recorded: Path) -> Iterator[Path]:
    """The repository as it was committed. It is brought back after each test, also after one that fails."""
    yield recorded
    bring_back(recorded)


def bring_back(folder: Path) -> None:
    shell(folder, "git checkout -q . && dvc checkout -q -f && python -m pipeline.cli restore")


def nothing_to_do(folder: Path) -> bool:
    return not planned(folder) and "up to date" in shell(folder, "dvc status")


def test_after_recording_nothing_is_to_do(repository: Path) -> None:
    with made(repository) as again:
        assert "Running stage" not in shell(repository, "dvc repro")
    assert not again and nothing_to_do(repository)
    assert shell(repository, "git status --porcelain") == "", "what git keeps is committed, the rest ignored"
    assert shell(repository, "git ls-files results data").split() == ["results/mini/metrics.json"]


def test_a_parameter_makes_its_cells_again_and_what_follows(repository: Path) -> None:
    """As an experiment: `dvc exp run` is `dvc repro` with settings."""
    with made(repository) as again:
        shell(repository, "dvc exp run --name half -S weightings.db_mtl.beta=0.5")
    again_by_cell = {f"{rule}/{cell}" for rule in ("train_cell", "evaluate_cell") for cell in (DB_MTL, RESNET)}
    assert again == {*again_by_cell, f"evaluate_robustness/{DB_MTL}", *REPORTS}
    assert nothing_to_do(repository)
    changed = json.loads(shell(repository, "dvc params diff --json"))["params.yaml"]
    assert changed == {"weightings.db_mtl.beta": {"old": 0.9, "new": 0.5, "diff": -0.4}}
    scores = json.loads(shell(repository, "dvc metrics diff --all --json"))["results/mini/metrics.json"]
    assert scores.keys() >= {"accuracy", "miou", "miou_corrupted"}
    said = shell(repository, "dvc exp show --only-changed --drop '.*(yaml|/|lock)' --csv")
    shown = pd.read_csv(StringIO(said[said.index("Experiment") :]))
    assert "half" in set(shown["Experiment"]) and shown["weightings.db_mtl.beta"].tolist() == [0.5, 0.9, 0.5]
    wide = shell(repository, "COLUMNS=500 dvc exp show --only-changed --drop '.*(yaml|/|lock)'")
    assert max(map(len, wide.splitlines())) <= 160, wide

    # Back to what was committed: DVC has it, and its content says so.
    bring_back(repository)
    assert nothing_to_do(repository)


def test_a_component_makes_its_cells_again_and_equal_bytes_end_it(repository: Path) -> None:
    """A comment gives another digest of the code, and the same checkpoint: what follows from it is current."""
    weighting = repository / "endoarss/weightings/stch.py"
    text = weighting.read_text()
    weighting.write_text(text + "\n# a comment\n")
    with made(repository) as again:
        shell(repository, "dvc repro")
    assert again == {f"train_cell/{STCH}"}
    assert nothing_to_do(repository)
    weighting.write_text(text)
    said = shell(repository, "snakemake --dry-run --cores 1")
    assert "code endoarss/weightings/stch.py: 1 result" in said


def trains(log: Path, since: float) -> bool:
    """Return whether a cell has read its settings and ended its first epoch after a time."""
    return log.exists() and log.stat().st_mtime > since and "epoch" in log.read_text()


def test_an_edit_while_a_cell_trains_is_seen_by_the_next_plan(repository: Path) -> None:
    params = repository / "params.yaml"
    text = params.read_text()
    logs = [repository / f"results/mini/logs/train_cell/{cell}.log" for cell in (DB_MTL, RESNET)]
    before = {log: log.stat().st_mtime for log in logs}
    params.write_text(text.replace("beta: 0.9", "beta: 0.8"))
    said = repository.with_name("said")
    with said.open("w") as stream, subprocess.Popen(
        ["snakemake", "--cores", "2", "--until", "train_cell"],
        cwd=repository, env=environment(repository), stdout=stream, stderr=stream,
    ) as run:  # fmt: skip
        while not all(trains(log, since) for log, since in before.items()):
            assert run.poll() is None, f"it ended before the edit\n{said.read_text()}"
            time.sleep(0.05)
        params.write_text(text.replace("beta: 0.9", "beta: 0.7"))
        planned(repository)
        assert run.wait() == 0, said.read_text()
    assert planned(repository)["train_cell"] == 2
    params.write_text(text)
    assert planned(repository)["train_cell"] == 2


def test_by_hand_is_by_rule(repository: Path) -> None:
    """The next run does what follows, and no more."""
    shell(repository, f"python -m pipeline.cli train --cell {STCH}")
    assert planned(repository) == {}, "the same study and code give the same model"
    params = repository / "params.yaml"
    params.write_text(params.read_text().replace("warmup_epochs: 1", "warmup_epochs: 0"))
    shell(repository, f"python -m pipeline.cli train --cell {STCH}")
    with made(repository) as again:
        shell(repository, "snakemake --cores 2")
    assert again == {f"evaluate_cell/{STCH}", *REPORTS}
    # An old output over newer data is told by what it was made from.
    shell(repository, "git checkout -q params.yaml dvc.lock")
    shell(repository, "dvc checkout -q -f results/mini/tables")
    assert {"train_cell", "evaluate_cell", "make_tables"} <= planned(repository).keys()
    bring_back(repository)
    assert nothing_to_do(repository)


def test_recording_waits_for_snakemake_and_refuses_what_the_study_does_not_have(repository: Path) -> None:
    lost = repository / "results/mini/results.parquet"
    kept = lost.read_bytes()
    lost.unlink()
    said = shell(repository, "python -m pipeline.cli record", fails=True)
    assert "results are not current" in said and "results.parquet is missing" in said and "Traceback" not in said
    said = shell(repository, "python -m pipeline.cli restore", fails=True)
    assert "`dvc pull` fetches missing results" in said and "results.parquet is missing" in said
    lost.write_bytes(kept)
    dropped = repository / "results/mini/cells/mtlesd/dinov2/hps/moco/r4-s0"
    dropped.mkdir(parents=True)
    (dropped / "model.safetensors").write_bytes(b"x")
    assert str(dropped.relative_to(repository)) in shell(repository, "python -m pipeline.cli record", fails=True)
    shell(repository, "python -m pipeline.cli clean --yes")
    assert nothing_to_do(repository)


def test_a_fresh_clone_pulls_and_has_nothing_to_do(repository: Path) -> None:
    shell(repository, "dvc push -q")
    clone = repository.with_name("clone")
    shell(repository, f"git clone -q . {clone}")
    assert "results are not current" in shell(clone, "python -m pipeline.cli record", fails=True)
    assert "not made yet" in shell(clone, "python -m pipeline.cli restore", fails=True)
    shell(clone, "dvc pull -q")
    assert nothing_to_do(clone)
    assert "All results are current" in shell(clone, "python -m pipeline.cli restore")
    with made(clone) as again:
        shell(clone, "dvc repro")
    assert not again
    params = clone / "params.yaml"
    params.write_text(params.read_text().replace("warmup_epochs: 1", "warmup_epochs: 0"))
    with made(clone) as again:
        shell(clone, "dvc repro")
    assert again == {f"train_cell/{STCH}", f"evaluate_cell/{STCH}", *REPORTS} and nothing_to_do(clone)


def test_a_copy_needs_nothing_and_another_commit_says_what_differs(repository: Path) -> None:
    copy = repository.with_name("copy")
    shell(repository, f"git clone -q . {copy} && cp -r results data {copy}")
    assert planned(copy) == {}
    metric = copy / "endoarss/metrics/calibration.py"
    metric.write_text(metric.read_text() + "\n# a comment\n")
    said = shell(copy, "python -m pipeline.cli restore", fails=True)
    assert re.search(r"code endoarss/metrics/calibration\.py: \d+ results", said)


def test_a_failed_cell_is_planned_again_and_cannot_be_recorded(repository: Path) -> None:
    weighting = repository / "endoarss/weightings/stch.py"
    text = weighting.read_text()
    weighting.write_text(f"{text}\nraise ValueError('broken')\n")
    shell(repository, "snakemake --cores 2", fails=True)
    assert planned(repository)["train_cell"] == 1
    assert "not current" in shell(repository, "python -m pipeline.cli record", fails=True)
    weighting.write_text(text)
    assert planned(repository)["train_cell"] == 1, "a rule deletes what it makes again"
    bring_back(repository)
    assert nothing_to_do(repository)


def test_another_shape_of_the_study_is_used_first(repository: Path) -> None:
    changed = MINI.replace("  mtlesd: {}\n", "  mtlesd: {}\n  other: {kind: mtlesd}\n", 1)
    (repository / "params.yaml").write_text(changed)
    assert "Run: endoarss use params.yaml" in shell(repository, "python -m pipeline.cli record", fails=True)
    shell(repository, "git checkout -q .")


@pytest.mark.long
def test_the_same_through_s3(repository: Path) -> None:
    """Push to a bucket, served on this machine; a fresh clone pulls from it. The keys stay out of what git keeps."""
    boto3, server = pytest.importorskip("boto3"), pytest.importorskip("moto.server")
    serving = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    serving.start()
    try:
        host, port = serving.get_host_and_port()
        address = f"http://{host}:{port}"
        keys = {"aws_access_key_id": "an-access-key", "aws_secret_access_key": "a-secret-key"}
        boto3.client("s3", endpoint_url=address, region_name="us-east-1", **keys).create_bucket(Bucket="kept-results")
        shell(
            repository,
            f"dvc remote add -q bucket s3://kept-results/endoarss && dvc remote modify bucket endpointurl {address}",
        )
        shell(repository, "git commit -qam bucket")
        login = " && ".join(
            f"dvc remote modify --local bucket {name.removeprefix('aws_')} {key}" for name, key in keys.items()
        )
        clone = repository.with_name("from_s3")
        said = shell(repository, f"{login} && dvc push -r bucket")
        assert re.search(r"\d+ files pushed", said)
        shell(repository, f"git clone -q . {clone}")
        assert "a-secret-key" not in shell(clone, "cat .dvc/config")
        shell(clone, f"{login} && dvc pull -q -r bucket")
        assert "All results are current" in shell(clone, "python -m pipeline.cli restore")
        assert nothing_to_do(clone)
    finally:
        serving.stop()
