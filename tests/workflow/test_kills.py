"""kill -9 of `endoarss report`, `merge` and `record` by themselves: nothing torn is left, and the same command then ends as if it had
never been killed."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.long
ROOT = Path(__file__).parents[2]
KILLS = 7  # of each command
STUDY = """\
study: kills
title: Kills
raw:
  generate: {name: kills, seed: 5, height: 64, width: 80, esd_frames: 20}
datasets:
  mtlesd: {}
input_size: 56
pretraining: {name: kills, backbone: dinov2, scenes: 32, epochs: 1}
backbones:
  dinov2:
    label: D
    model: vit_small_patch14_dinov2
    arguments: {embed_dim: 24, depth: 2, num_heads: 2}
    weights: {file: data/weights/kills.safetensors}
heads: {segmentation_channels: 16, activity_channels: 16}
training:
  select_on: val
  schedules:
    mtlesd: {epochs: 2, learning_rate: 0.01}
cells:
  - {datasets: [mtlesd], backbones: [dinov2], architectures: [single_activity, single_segmentation, hps], weightings: [equal]}
merging:
  mergers: [ties]
  surgery: {rank: 4, ablation: [2], iterations: 20}
robustness: {cells: [{architecture: hps}], corruptions: [contrast], severities: [3]}
"""
MERGED = tuple(f"mtlesd/dinov2/single_{task}/equal/r4-s0-val" for task in ("activity", "segmentation"))
RESULTS = "results/kills"


@dataclass(frozen=True)
class Command:
    """What is killed, and the files that it makes and that hold no time of day; hidden files are left out."""

    arguments: tuple[str, ...]
    made: tuple[str, ...]

    def files(self, folder: Path) -> dict[str, str]:
        """SHA-256 of what there is of them."""
        found = {path for pattern in self.made for path in folder.glob(pattern) if path.is_file()}
        return {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in found
            if not path.name.startswith(".") and not path.name.endswith(("done.json", "decided_by.json"))
        }

    def delete(self, folder: Path) -> None:
        for name in self.files(folder):
            (folder / name).unlink()


COMMANDS = {
    "report": Command(
        ("report",),
        (f"{RESULTS}/results.parquet", *(f"{RESULTS}/{name}/*" for name in ("tables", "figures", "report", "paper"))),
    ),
    "merge": Command(
        ("merge", *MERGED),
        (
            *(f"{RESULTS}/cells/**/merged/**/{name}" for name in ("model.safetensors", "predictions/*.npz")),
            f"{RESULTS}/merging/**/representations.npz",
        ),
    ),
    "record": Command(("record",), ("dvc.lock", ".dvc/cache/files/**/*")),
}


@dataclass(frozen=True)
class Repository:
    """A clone of the project in which the study was run."""

    folder: Path
    environment: dict[str, str]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / "said.txt").open("w"),
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str) -> tuple[int, str]:
        """Exit status, and what was said on standard error."""
        status = self.start(*arguments).wait()
        return status, (self.folder / "said.txt").read_text()

    def shell(self, command: str) -> None:
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{(done.stdout + done.stderr)[-6000:]}"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    folder = tmp_path_factory.mktemp("kills") / "origin"
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
    (folder / "studies/kills.yaml").write_text(STUDY)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "DVC_"))}
    environment |= {f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment |= {"PATH": f"{Path(sys.executable).parent}:{environment['PATH']}", "PYTHONPATH": str(folder)}
    made = Repository(folder, environment)
    made.shell("git init -q && python -m pipeline.cli use studies/kills.yaml && git add -A && git commit -qm study")
    made.shell("snakemake --cores 2")
    return made


def end(process: psutil.Process, killed: bool = False) -> None:
    """Wait until a process is gone; kill it first, if asked."""
    with suppress(psutil.NoSuchProcess):
        if killed:
            process.kill()
        process.wait(120)


@pytest.mark.parametrize("name", ["record", "report", "merge"])  # the first asks for results that nothing touched since
def test_what_is_killed_ends_the_same_when_it_is_run_again(
    repository: Repository, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command, chance = COMMANDS[name], random.Random(f"2026 {name}")
    started = time.monotonic()
    status, said = repository.run(*command.arguments)
    assert status == 0, said
    whole, expected = time.monotonic() - started, command.files(repository.folder)
    assert len(expected) >= 4
    with capsys.disabled():
        print(
            f"\n{name}: {len(expected)} files in {whole:.0f} s\nkill | after s | from | of | files after it | run again"
        )
    for number in range(1, KILLS + 1):
        afresh, alone = number % 2 == 1, number % 3 == 0
        moment = whole * (number - chance.random()) / KILLS
        while True:
            if afresh:
                command.delete(repository.folder)
            running = repository.start(*command.arguments)
            time.sleep(moment)
            if running.poll() is None:
                break
            moment *= 0.8  # it was faster than the first time
        children = psutil.Process(running.pid).children(recursive=True)
        running.send_signal(signal.SIGKILL)
        for child in children if not alone else ():
            end(child, killed=True)
        assert running.wait() == -signal.SIGKILL
        there = command.files(repository.folder)
        if not children or not alone:  # what it had started may still be at work
            torn = [file for file, digest in there.items() if expected.get(file) != digest]
            assert not torn, f"neither as before nor as it will be: {torn}"
        status, said = repository.run(*command.arguments)
        again = "done"
        if status and alone and children:
            assert "Traceback" not in said and "lock" in said, said
            for child in children:
                end(child)
            status, said = repository.run(*command.arguments)
            again = "done when what it had started had ended"
        assert status == 0, said
        assert command.files(repository.folder) == expected
        with capsys.disabled():
            kind = "nothing" if afresh else "what was there"
            of = "it alone" if alone else "it and what it started"
            print(f"{number} | {moment:.1f} | {kind} | {of} | {len(there)} | {again}, same bytes", flush=True)


def test_kept_cache_holds_what_its_names_say(repository: Repository) -> None:
    """DVC's copies are named by their MD5; after all the kills they still are what they are named for."""
    files = [path for path in repository.folder.glob(".dvc/cache/files/md5/*/*") if path.is_file()]
    assert len(files) > 20
    for path in files:
        assert hashlib.md5(
            path.read_bytes(), usedforsecurity=False
        ).hexdigest() == path.parent.name + path.name.removesuffix(".dir")


def test_a_full_disk_is_said_in_a_sentence_by_record(repository: Repository) -> None:
    """DVC keeps copies of everything; where they find no room its own folder is named, and a rerun records the same."""
    command, cache = COMMANDS["record"], repository.folder / ".dvc/cache"
    shutil.rmtree(cache, ignore_errors=True)  # copies of what there was before
    status, said = repository.run(*command.arguments)
    if status:
        repository.shell("snakemake --cores 2")  # the tests above made things again by hand
        status, said = repository.run(*command.arguments)
    assert status == 0, said
    expected = command.files(repository.folder)
    shutil.rmtree(cache)
    cache.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(cache)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"mounting is not allowed here: {mounted.stderr.strip()}")
    try:
        status, said = repository.run(*command.arguments)
    finally:
        subprocess.run(["umount", "--lazy", str(cache)], check=True)
    assert status == 1 and "No space left on device" in said and ".dvc" in said and "Traceback" not in said, said
    status, said = repository.run(*command.arguments)
    assert status == 0, said
    assert command.files(repository.folder) == expected
