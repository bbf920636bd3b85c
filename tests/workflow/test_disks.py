"""A full disk and one that is read-only: said in words, nothing torn is left, and a rerun goes on."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
pytestmark = pytest.mark.long


def mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")


@pytest.fixture
def checkout(link_checkout: Callable[[Path], Path], small_study: Callable[..., str], tmp_path: Path) -> Iterator[Path]:
    """A checkout whose results/ is a file system of its own, of 600 kB."""
    folder = link_checkout(tmp_path)
    (folder / "disk.yaml").write_text(small_study("disk", architectures=["hps", "mmoe"]))
    (folder / "results").mkdir()
    mount("-t", "tmpfs", "-o", "size=600k", "tmpfs", str(folder / "results"))
    yield folder
    subprocess.run(["umount", str(folder / "results")], check=True)


def test_a_full_disk_is_named_and_a_rerun_goes_on(checkout: Path, snakemake: Run) -> None:
    run = snakemake(checkout, study="disk.yaml")
    said = run.stdout + run.stderr
    assert run.returncode != 0 and "No space left on device" in said, said[-4000:]
    left = [path for path in checkout.glob("results/**/*") if path.name.endswith((".partial", ".old"))]
    assert not left
    mount("-o", "remount,size=200m", str(checkout / "results"))
    run = snakemake(checkout, study="disk.yaml")
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-6000:]
    assert (
        pd.read_csv(checkout / "results/disk/tables/table2_mtlesd.csv")
        .query("backbone_label != 'reference'")["miou"]
        .notna()
        .all()
    )


def test_a_read_only_folder_is_named_before_anything_runs(checkout: Path, snakemake: Run) -> None:
    mount("-o", "remount,ro", str(checkout / "results"))
    run = snakemake(checkout, study="disk.yaml")
    said = run.stdout + run.stderr
    assert run.returncode != 0 and "Read-only file system" in said and "Mount it for writing" in said
    assert "Traceback" not in said and not (checkout / "data").exists()
    mount("-o", "remount,rw,size=200m", str(checkout / "results"))


STUDY = """\
study: disk
title: Disk
raw:
  generate: {name: disk, seed: 5, height: 64, width: 80, esd_frames: 20}
datasets:
  mtlesd: {}
input_size: 56
pretraining: {name: disk, backbone: dinov2, scenes: 32, epochs: 1}
backbones:
  dinov2:
    label: D
    model: vit_small_patch14_dinov2
    arguments: {embed_dim: 24, depth: 2, num_heads: 2}
    weights: {file: data/weights/disk.safetensors}
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
CELLS = "mtlesd/dinov2"
HPS, ACTIVITY, SEGMENTATION = (
    f"{CELLS}/{name}/equal/r4-s0-val" for name in ("hps", "single_activity", "single_segmentation")
)
MODEL, IMAGES = f"results/disk/cells/{HPS}/model.safetensors", "data/datasets/mtlesd-disk/images"
FULL = "its disk is full (No space left on device). Free some space, and run the same command again."
READ_ONLY = "its disk is mounted read-only (Read-only file system). Mount it for writing"
# Each command, less its study; and the folder that it says it cannot write to.
COMMANDS = {
    "verify --json": (("verify", "--cells", "0", "--json", "verified.json"), "verified.json"),
    "report": (("report",), "results/disk/results.parquet"),
    "paper": (("paper",), "results/disk/paper/paper.tex"),
    "predict": (("predict", MODEL, IMAGES, "--out", "predicted"), "predicted"),
    "apply": (("apply", IMAGES, "corrupted", "--corruption", "contrast"), "corrupted"),
    "sheet": (("sheet", f"{IMAGES}/esd_test_1_marking_0000.png", "--out", "sheet.png"), "sheet.png"),
    "build": (("step", "build_dataset", "--dataset", "mtlesd"), "data/datasets/"),
    "pack": (("step", "pack_dataset", "--dataset", "mtlesd"), "data/datasets/mtlesd-disk/arrays/"),
    "evaluate": (("evaluate", "--cell", HPS), f"results/disk/cells/{HPS}/"),
    "evaluate --again": (("evaluate", "--cell", HPS, "--again"), f"results/disk/cells/{HPS}/"),
    "robustness": (("robustness", "--cell", HPS), f"results/disk/cells/{HPS}/robustness"),
    "train": (("train", "--cell", HPS), f"results/disk/cells/{HPS}/"),
    "merge": (("merge", ACTIVITY, SEGMENTATION), f"results/disk/cells/{CELLS}/merged/"),
}
# What is deleted first, so that the command has something to write.
DELETED = {"pack": "data/datasets/mtlesd-disk/arrays", "paper": "results/disk/paper"}


@dataclass(frozen=True)
class Disk:
    """A checkout that is a file system of its own, with the results of a study."""

    folder: Path

    def run(self, name: str, *more: str, before: Sequence[str] = ()) -> tuple[int, str]:
        """Run a command of `COMMANDS` with more arguments, through another one if asked: exit status, and what it says on standard
        error."""
        arguments = COMMANDS[name][0] + more
        own = arguments[0] in ("apply", "sheet")
        module = "corruptions.command.cli" if own else "pipeline.cli"
        study = () if own or arguments[0] == "predict" else ("--study", "disk.yaml")
        done = subprocess.run(
            [*before, sys.executable, "-m", module, *arguments, *study],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(self.folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stderr

    def fill(self, spare: int = 0) -> None:
        """Take all room but some bytes."""
        with (self.folder / "filler").open("wb", buffering=0) as stream:
            try:
                while True:
                    stream.write(bytes(4096))
            except OSError:
                stream.truncate(max(0, stream.tell() - spare))

    def unfinished(self) -> list[Path]:
        """What is left half written, less what a rerun goes on from."""
        found = [path for path in self.folder.rglob("*") if path.name.endswith((".partial", ".old"))]
        return [path for path in found if re.search(r"\.\d+\.(partial|old)$", path.name)]


@pytest.fixture(scope="module")
def disk(
    link_checkout: Callable[[Path], Path],
    snakemake: Run,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Disk]:
    folder = tmp_path_factory.mktemp("disk")
    mount("-t", "tmpfs", "-o", "size=48m", "tmpfs", str(folder))
    try:
        link_checkout(folder)
        (folder / "disk.yaml").write_text(STUDY)
        run = snakemake(folder, study="disk.yaml")
        assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-6000:]
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_names_what_the_disk_refuses_and_goes_on_afterwards(disk: Disk, name: str) -> None:
    place = COMMANDS[name][1]
    if name in DELETED:
        subprocess.run(["rm", "-rf", DELETED[name]], cwd=disk.folder, check=True)
    disk.fill()
    status, said = disk.run(name)
    (disk.folder / "filler").unlink()
    words = COMMANDS[name][0]
    command = words[1] if words[0] == "step" else words[0]
    assert status == 1 and "Traceback" not in said and not disk.unfinished(), said
    assert (f" {command}: {place}" in said and FULL in said) or f"OUT {place}: the disk is full" in said, said

    mount("-o", "remount,ro", str(disk.folder))
    status, said = disk.run(name)
    mount("-o", "remount,rw", str(disk.folder))
    # What is locked or forgotten first is named, in the same folders.
    assert status == 1 and "Traceback" not in said and READ_ONLY in said, said
    assert Path(said.split(f" {command}: ")[1].split(":")[0]).is_relative_to(Path(place).parts[0]), said

    status, said = disk.run(name)
    assert status == 0, said


@pytest.mark.parametrize("spare", [8_192, 40_960, 131_072])
def test_an_array_that_finds_no_room_half_way_is_said(disk: Disk, spare: int) -> None:
    """Mapped into memory, a page without room ends the process by a signal, without a word."""
    subprocess.run(["rm", "-rf", DELETED["pack"]], cwd=disk.folder, check=True)
    disk.fill(spare)
    status, said = disk.run("pack")
    (disk.folder / "filler").unlink()
    assert status == 1 and FULL in said and DELETED["pack"] in said and not disk.unfinished(), said
    assert disk.run("pack")[0] == 0


@pytest.mark.parametrize("name", ["robustness", "apply"])
def test_shared_memory_without_room_is_no_full_disk(disk: Disk, name: str) -> None:
    script = 'mount -t tmpfs -o size=4k tmpfs /dev/shm && { cat /dev/zero > /dev/shm/filler 2> /dev/null; exec "$@"; }'
    status, said = disk.run(name, "--workers", "2", before=("unshare", "--mount", "bash", "-c", script, "-"))
    assert status == 1 and "Traceback" not in said, said
    found = said.strip().splitlines()[-1].split(f" {name}: ")[1]
    assert found.startswith(
        "/dev/shm: processes cannot allocate shared memory there (No space left on device). Enlarge it"
    ), said
    assert "OUT" not in found and "disk" not in found and "--shm-size" in found
