"""Snakemake and DVC together, in a real repository with a real remote: what changed runs again, and nothing else."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

Shell = Callable[..., str]
ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow

DB_MTL, STCH, RESNET = (
    f"mtlesd/{model}/r4-s0" for model in ("dinov2/hps/db_mtl", "dinov2/hps/stch", "resnet/hps/db_mtl")
)
REPORTS = {"collect_results", "make_tables", "draw_figures", "make_page", "write_paper"}
MINI = """\
study: mini
title: Miniature
raw:
  generate: {name: mini, seed: 5, height: 64, width: 80, esd_frames: 20}
datasets:
  mtlesd: {}
input_size: 56
pretraining: {name: mini, backbone: dinov2, scenes: 16, epochs: 1}
backbones:
  resnet: {label: R, model: resnet26, arguments: {channels: [8, 8, 12, 16]}, weights: none}
  dinov2:
    label: D
    model: vit_small_patch14_dinov2
    arguments: {embed_dim: 24, depth: 2, num_heads: 2, init_values: null}
    weights: {file: data/weights/mini.safetensors}
heads: {segmentation_channels: 16, activity_channels: 16}
weightings:
  stch: {warmup_epochs: 1}
  db_mtl: {beta: 0.9, beta_sigma: 0.0}
training:
  batch_size: 16
  schedules:
    mtlesd: {epochs: 3, learning_rate: 0.001}
cells:
  - {datasets: [mtlesd], backbones: [dinov2], architectures: [hps], weightings: [db_mtl, stch]}
  - {datasets: [mtlesd], backbones: [resnet], architectures: [hps], weightings: [db_mtl]}
robustness:
  cells: [{backbone: dinov2, weighting: db_mtl}]
  corruptions: [contrast]
  severities: [5]
"""


@pytest.fixture(scope="module")
def shell() -> Shell:
    """Run a command in a checkout, on the code that lies there; what it said. It must succeed, unless `fails`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "DVC_"))}
    environment |= {f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"

    def run(folder: Path, command: str, fails: bool = False) -> str:
        given = environment | {"PYTHONPATH": str(folder)}
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, env=given, capture_output=True, text=True, check=False
        )
        said = done.stdout + done.stderr
        assert (done.returncode != 0) == fails, f"{command}\n{said[-6000:]}"
        return said

    return run


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, shell: Shell) -> Path:
    """A clone of the project with the miniature in use, run by Snakemake, recorded, and committed."""
    folder = tmp_path_factory.mktemp("versions") / "origin"
    ignore = shutil.ignore_patterns("__pycache__", "tmp", "cache")
    for name in ("corruptions", "endoarss", "reports", "pipeline", "profiles", "studies", ".dvc"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    for name in ("Snakefile", "params.yaml", "dvc.yaml", "environment.yml", ".gitignore", ".dvcignore"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "studies/mini.yaml").write_text(MINI)
    shell(folder, "git init -q && python -m pipeline.cli use studies/mini.yaml && git add -A && git commit -qm study")
    shell(folder, f"dvc remote add -q -d kept {folder.parent / 'remote'} && git commit -qam remote")
    shell(folder, "snakemake --cores 2")
    said = shell(folder, "python -m pipeline.cli record")
    assert re.fullmatch(r"\d+ stages recorded in dvc\.lock\. .*\n", said)
    shell(folder, "git add -A && git commit -qm results")
    return folder


def ran(said: str) -> set[str]:
    """The stages that DVC ran."""
    return set(re.findall(r"Running stage '(.*?)':", said))


def stage(rule: str, cell: str) -> str:
    return f"{rule}-{cell.replace('/', '-')}"


def nothing_to_do(folder: Path, shell: Shell) -> bool:
    planned, status = shell(folder, "snakemake --dry-run"), shell(folder, "dvc status")
    return "Nothing to be done" in planned and "up to date" in status


def test_after_recording_nothing_is_to_do(repository: Path, shell: Shell) -> None:
    assert not ran(shell(repository, "dvc repro")) and nothing_to_do(repository, shell)
    assert shell(repository, "git status --porcelain") == "", "what is kept by git is committed, the rest ignored"
    tracked = shell(repository, "git ls-files results data").split()
    assert [Path(path).name for path in tracked] == ["metrics.json"] * 3


def test_both_graphs_have_the_same_files(repository: Path, shell: Shell) -> None:
    """What Snakemake wrote down of its jobs is what DVC's stages say: outputs, and what each is made from."""
    stages = yaml.safe_load((repository / "dvc.yaml").read_text())["stages"]
    code = {one["outs"][0]: set(one["deps"]) for name, one in stages.items() if name.startswith("code-")}
    dvc = {}
    for name, one in stages.items():
        if name.startswith(("code-", "check_stages")):
            continue
        deps: set[str] = set()
        for path in one["deps"]:
            deps |= code.get(path, {path})
        deps.discard("results/mini/code/check_stages.txt")
        for path in (*one["outs"], *(path for metric in one.get("metrics", ()) for path in metric)):
            dvc[path] = deps
    rows = [line.split("\t") for line in shell(repository, "snakemake --cores 1 --detailed-summary").splitlines()]
    snakemake = {row[0]: set(row[4].split(",")) for row in rows if len(row) == 8 and row[0] != "output_file"}
    assert snakemake.keys() == dvc.keys() and len(dvc) > 40
    assert snakemake == dvc


def test_a_parameter_runs_its_cells_again_and_what_follows(repository: Path, shell: Shell) -> None:
    """As an experiment: `dvc exp run` is `dvc repro` with settings."""
    said = shell(repository, "dvc exp run --name half -S weightings.db_mtl.beta=0.5")
    again = {stage(rule, cell) for rule in ("train_cell", "evaluate_cell") for cell in (DB_MTL, RESNET)}
    assert ran(said) == {"check_stages", *again, stage("evaluate_robustness", DB_MTL), *REPORTS}
    assert nothing_to_do(repository, shell)
    changed = json.loads(shell(repository, "dvc params diff --json"))
    (beta,) = changed["params.yaml"].items()
    assert beta[0] == "weightings.db_mtl.beta" and (beta[1]["old"], beta[1]["new"]) == (0.9, 0.5)
    metrics = json.loads(shell(repository, "dvc metrics diff --json"))
    assert metrics and all("/db_mtl/" in path for path in metrics), "the other weighting's scores are as they were"
    shown = pd.read_csv(_csv(shell(repository, "dvc exp show --csv")))
    assert "half" in set(shown["Experiment"]) and shown["weightings.db_mtl.beta"].tolist() == [0.5, 0.9, 0.5]
    page = shell(repository, "dvc plots show").strip().removeprefix("file://")
    assert "loss_segmentation" in Path(page).read_text()

    # Back to what was committed: DVC has it, and Snakemake is told.
    shell(repository, "git checkout -q . && dvc checkout -q && python -m pipeline.cli restore")
    assert nothing_to_do(repository, shell)


def _csv(said: str) -> Any:
    from io import StringIO

    return StringIO(said[said.index("Experiment") :])


def test_a_file_of_code_runs_its_cells_again_and_what_follows(repository: Path, shell: Shell) -> None:
    """The same bytes end it: an evaluation of the same predictions does not run. A metric trains nothing."""
    weighting = repository / "endoarss/weightings/stch.py"
    text = weighting.read_text()
    weighting.write_text(text + "\n# a comment\n")
    assert ran(shell(repository, "dvc repro")) == {"check_stages", stage("train_cell", STCH), *REPORTS}
    # Snakemake sees that a folder is newer, not that it holds the same.
    shell(repository, "python -m pipeline.cli restore")
    assert nothing_to_do(repository, shell)
    weighting.write_text(text)
    shell(repository, "git checkout -q . && dvc checkout -q && python -m pipeline.cli restore")

    metric = repository / "endoarss/metrics/calibration.py"
    metric.write_text(metric.read_text() + "\n# a comment\n")
    changed = json.loads(shell(repository, "dvc status --json"))
    assert {"code-evaluate_cell", stage("evaluate_robustness", DB_MTL), "collect_results"} <= changed.keys()
    assert not any(name.startswith(("train_cell", "code-train_cell", "pretrain", "build")) for name in changed)
    shell(repository, "git checkout -q .")


@pytest.mark.long
def test_a_study_that_changed_shape_is_to_be_used_first(repository: Path, shell: Shell) -> None:
    """New cells are no stages yet; a setting that was not there is no key of one."""
    for old, new in (
        ("weightings: [db_mtl, stch]", "weightings: [db_mtl, equal]"),
        ("  batch_size", "  precision: float32\n  batch_size"),
    ):
        (repository / "params.yaml").write_text(MINI.replace(old, new))
        said = shell(repository, "dvc repro", fails=True)
        assert "dvc.yaml is not what params.yaml and the rules now ask for" in said
        assert "Run `endoarss use params.yaml`" in said and ran(said) == {"check_stages"}
        assert "dvc.yaml is not what" in shell(repository, "python -m pipeline.cli record", fails=True)
    shell(repository, "git checkout -q .")
    assert ran(shell(repository, "dvc repro")) <= {"check_stages"} and nothing_to_do(repository, shell)


def test_recording_waits_for_snakemake(repository: Path, shell: Shell) -> None:
    lost = repository / "results/mini/results.parquet"
    kept = lost.read_bytes()
    lost.unlink()
    said = shell(repository, "python -m pipeline.cli record", fails=True)
    assert "Snakemake would still make" in said and "results.parquet: missing" in said and "Traceback" not in said
    said = shell(repository, "python -m pipeline.cli restore", fails=True)
    assert "`dvc pull` brings what is missing" in said and "results.parquet deleted" in said
    lost.write_bytes(kept)
    shell(repository, "python -m pipeline.cli restore")
    assert nothing_to_do(repository, shell)


def test_a_fresh_clone_pulls_and_has_nothing_to_do(repository: Path, shell: Shell) -> None:
    shell(repository, "dvc push -q")
    clone = repository.with_name("clone")
    shell(repository, f"git clone -q . {clone}")
    assert "would still make" in shell(clone, "python -m pipeline.cli record", fails=True)
    assert "deleted" in shell(clone, "python -m pipeline.cli restore", fails=True)
    shell(clone, "dvc pull -q")
    assert "Everything is there" in shell(clone, "python -m pipeline.cli restore")
    assert nothing_to_do(clone, shell) and not ran(shell(clone, "dvc repro"))
    assert [path.name for path in (clone / "data/raw/mini/esd").iterdir()] == ["generated.json"]
    # The raw tree was not kept, for it follows from its settings: what needs it makes it again.
    built = clone / "data/datasets/mtlesd-mini/manifest.csv"
    before = built.read_bytes()
    shell(clone, f"snakemake --cores 2 --force {built.relative_to(clone)}")
    shell(clone, f"snakemake --cores 2 {built.parent.relative_to(clone)}/arrays/56.json")
    assert built.read_bytes() == before and "Nothing to be done" in shell(clone, "snakemake --dry-run")
    # When and by what it was built is another; what it holds is not.
    changed = json.loads(shell(clone, "dvc status --json"))
    assert str(changed).count("modified") == 1 and "mtlesd-mini.provenance.json" in str(changed)


@pytest.mark.long
def test_the_same_through_s3(repository: Path, shell: Shell) -> None:
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
        assert "Everything is there" in shell(clone, "python -m pipeline.cli restore")
        assert nothing_to_do(clone, shell)
    finally:
        serving.stop()
