"""A full disk and one that is read-only: said in words, nothing torn is left, and a rerun goes on."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
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
    assert run.returncode != 0 and "Read-only file system" in said and "See that results/ can be written to" in said
    assert "Traceback" not in said and not (checkout / "data").exists()
    mount("-o", "remount,rw,size=200m", str(checkout / "results"))
