"""A miniature of the project in a real repository: run by Snakemake, recorded by DVC, committed."""

from __future__ import annotations

import compileall
import os
import py_compile
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
DB_MTL, STCH, RESNET = (
    f"mtlesd/{model}/r4-s0" for model in ("dinov2/hps/db_mtl", "dinov2/hps/stch", "resnet/hps/db_mtl")
)
MINI = """\
study: mini
compare_with_paper: true
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
    arguments: {embed_dim: 24, depth: 2, num_heads: 2}
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


def shell(folder: Path, command: str, fails: bool = False) -> str:
    """Run a command in a checkout, on the code that lies there, and return what it said. It must succeed, unless `fails`."""
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment(folder), capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    assert (done.returncode != 0) == fails, f"{command}\n{said[-6000:]}"
    return said


def environment(folder: Path) -> dict[str, str]:
    """The environment of a shell in a checkout."""
    found = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "DVC_"))}
    found |= {f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    return {**found, "PATH": f"{Path(sys.executable).parent}:{found['PATH']}", "PYTHONPATH": str(folder)}


def make_repository(folder: Path) -> None:
    """Make the repository in an empty folder, with everything done. Its remote is beside whichever copy pushes."""
    ignore = shutil.ignore_patterns("__pycache__", "tmp", "cache")
    for name in ("corruptions", "endoarss", "reports", "pipeline", "profiles", "studies", ".dvc"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    for name in (
        "Snakefile",
        "params.yaml",
        "dvc.yaml",
        "environment.yml",
        "requirements.lock",
        ".gitignore",
        ".dvcignore",
    ):
        shutil.copy(ROOT / name, folder / name)
    compile_code(folder)
    (folder / "studies/mini.yaml").write_text(MINI)
    shell(folder, "git init -q && python -m pipeline.cli use studies/mini.yaml && git add -A && git commit -qm study")
    shell(folder, "dvc remote add -q -d kept ../remote && git commit -qam remote")
    said = shell(folder, "snakemake --cores 2")
    assert said.endswith("results/mini/results.parquet (3 of 3 models)\n"), said[-2000:]
    assert "  page     results/mini/report/index.html\n" in said
    said = shell(folder, "python -m pipeline.cli record")
    assert re.search(r"\d+ results recorded in dvc\.lock\.", said), said
    shell(folder, "git add -A && git commit -qm results")


def compile_code(folder: Path) -> None:
    """Compile a copy of the code once; jobs of tests write no bytecode. It is told by the digest of its source, so that none is stale."""
    assert compileall.compile_dir(folder, quiet=1, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)


def planned(folder: Path) -> dict[str, int]:
    """How many jobs of each rule Snakemake plans."""
    said = shell(folder, "snakemake --dry-run --cores 1")
    jobs = {name: int(count) for name, count in re.findall(r"(?m)^(\w+) +(\d+)$", said)}
    assert jobs or "Nothing to be done" in said, said
    return {name: count for name, count in jobs.items() if name not in ("all", "total")}


@contextmanager
def made(folder: Path) -> Iterator[set[str]]:
    """Collect what jobs make in the block, as <rule>/<cell or dataset>. A job that finds its result current makes nothing."""
    before, found = _logs(folder), set[str]()
    yield found
    for name, (time, said) in _logs(folder).items():
        if before.get(name, (0, ""))[0] != time and "Nothing to do:" not in said:
            found.add(name)


def _logs(folder: Path) -> dict[str, tuple[int, str]]:
    top = folder / "results/mini/logs"
    return {
        path.relative_to(top).with_suffix("").as_posix(): (path.stat().st_mtime_ns, path.read_text())
        for path in top.rglob("*.log")
    }
