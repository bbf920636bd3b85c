"""The same study gives the same tables byte for byte: with any number of jobs at once, and whatever was killed on the way."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

KILLS = 20
KINDS = ("Snakemake", "a worker", "everything")
UNLOCK = "snakemake --unlock --cores 1"
pytestmark = pytest.mark.long

STUDY = """\
study: killed
title: Killed
raw:
  generate: {name: killed, seed: 5, height: 64, width: 80, esd_frames: 20}
datasets:
  mtlesd: {}
input_size: 56
pretraining: {name: killed, backbone: dinov2, scenes: 32, epochs: 2}
backbones:
  resnet: {label: R, model: resnet26, arguments: {channels: [8, 8, 12, 16]}, weights: none}
  dinov2:
    label: D
    model: vit_small_patch14_dinov2
    arguments: {embed_dim: 24, depth: 2, num_heads: 2}
    weights: {file: data/weights/killed.safetensors}
heads: {segmentation_channels: 16, activity_channels: 16}
training:
  schedules:
    mtlesd: {epochs: 30, learning_rate: 0.001}
cells:
  - {datasets: [mtlesd], backbones: [resnet], architectures: [hps], weightings: [db_mtl]}
  - {datasets: [mtlesd], backbones: [dinov2], architectures: [tesla], weightings: [db_mtl]}
robustness:
  cells: [{backbone: dinov2}]
  corruptions: [smoke, contrast, gaussian_noise]
  severities: [1, 5]
"""


@dataclass(frozen=True)
class Checkout:
    """A folder to run in, and how Snakemake is started there."""

    folder: Path

    @property
    def said(self) -> Path:
        """Where Snakemake writes; to a pipe that nobody reads it would come to a stop."""
        return self.folder / "said.txt"

    def start(self, *arguments: str, cores: int = 2) -> subprocess.Popen[bytes]:
        """Snakemake as the leader of a session of its own."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", "-p", "--cores", str(cores), "--configfile", "killed.yaml", *arguments],
            cwd=self.folder,
            env=os.environ | {"PATH": path, "PYTHONPATH": str(self.folder)},
            stdout=self.said.open("wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def run(self, *arguments: str, cores: int = 2) -> tuple[int, str]:
        """Run it to its end: exit status, and what it said."""
        code = self.start(*arguments, cores=cores).wait()
        return code, self.said.read_text()

    def empty(self) -> None:
        """As before the first run."""
        for name in ("results", "data", ".snakemake"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def tables(self) -> dict[str, bytes]:
        """What a study found, file by file. What it cost is measured, and differs from run to run."""
        results = self.folder / "results/killed"
        files = [*results.glob("tables/*"), results / "results.parquet", *results.glob("cells/**/per_image.parquet")]
        files += [*results.glob("cells/**/model.safetensors")]
        measured = ("table_cost", "done.json", "decided_by.json")
        return {
            str(path.relative_to(results)): path.read_bytes()
            for path in files
            if not any(name in path.name for name in measured)
        }


@pytest.fixture(scope="module")
def checkout(link_checkout: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    folder = link_checkout(tmp_path_factory.mktemp("killed"))
    (folder / "killed.yaml").write_text(STUDY)
    return Checkout(folder)


def test_any_number_of_jobs_gives_the_same(checkout: Checkout) -> None:
    found = []
    for cores in (1, 2, 4, 2):
        checkout.empty()
        code, said = checkout.run(cores=cores)
        assert code == 0, said[-6000:]
        found.append(checkout.tables())
    first = found[0]
    for other in found[1:]:
        assert other.keys() == first.keys() and [name for name in first if other[name] != first[name]] == []


def workers(process: psutil.Process) -> list[psutil.Process]:
    """The steps that Snakemake has running."""
    found = []
    for child in process.children(recursive=True):
        try:
            if "pipeline.cli" in child.cmdline() and child.name().startswith("python"):
                found.append(child)
        except psutil.Error:
            continue
    return found


def step(worker: psutil.Process) -> str:
    try:
        words = worker.cmdline()
    except psutil.Error:
        return "?"
    command = words[words.index("pipeline.cli") + 1 :]
    return command[1] if command[0] == "step" else command[0]


def kill(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGKILL)


def test_a_rerun_ends_the_same_whatever_was_killed(checkout: Checkout, capsys: pytest.CaptureFixture[str]) -> None:
    started = time.monotonic()
    code, said = checkout.run()
    assert code == 0, said[-6000:]
    whole, expected = time.monotonic() - started, checkout.tables()
    chance, rows = random.Random(2026), []
    for number in range(1, KILLS + 1):
        kind = KINDS[number % len(KINDS)]
        moment, found = chance.uniform(2, 0.9 * whole), []
        while not found:
            checkout.empty()
            running = checkout.start()
            snakemake = psutil.Process(running.pid)
            time.sleep(moment)
            while running.poll() is None and not (found := workers(snakemake)):  # between two steps
                time.sleep(0.05)
            moment *= 0.8  # of a run that ended before it could be killed: the machine is quicker now than at first
        steps = ", ".join(sorted(step(worker) for worker in found))
        if kind == "a worker":
            kill(chance.choice(found))
        elif kind == "Snakemake":
            kill(snakemake)  # what it had started lives on
        else:
            for one in [snakemake, *snakemake.children(recursive=True)]:
                kill(one)
        assert running.wait() != 0
        code, said = checkout.run()
        locked = code != 0 and "LockException" in said
        if locked:
            assert "--unlock" in said, "a lock that a person clears, and how is told"
            assert checkout.run("--unlock")[0] == 0
            code, said = checkout.run()
        assert code == 0, said[-6000:]
        jobs = re.search(r"^total +(\d+)$", said, re.MULTILINE)
        differing = [name for name, content in checkout.tables().items() if expected.get(name) != content]
        left = [str(path) for path in checkout.folder.glob("results/killed/cells/**/.training")]
        rows.append(
            (number, kind, f"{moment / 0.8:.1f}", steps, "yes" if locked else "no", jobs[1] if jobs else "0", differing)
        )
        assert checkout.tables().keys() == expected.keys() and not differing and not left, rows[-1]
        with capsys.disabled():
            print("" if number > 1 else _head(whole), " | ".join(map(str, rows[-1][:-1])), "| same", flush=True)


def _head(whole: float) -> str:
    return (
        f"\n{KILLS} kills of a run that takes {whole:.0f} s; {UNLOCK} where Snakemake asked for it\n"
        "kill | of | after s | while these ran | unlocked | jobs of the rerun | tables, rows and checkpoints\n"
    )
