"""GPUs of one machine: as many models at once as the study allows, each told its device."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
pytestmark = pytest.mark.long


def test_models_wait_for_a_slot_in_snakemake_and_not_on_the_gpu(
    link_checkout: Callable[[Path], Path],
    snakemake: Run,
    small_study: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two cores and one GPU of one slot: no process ever has to wait for the GPU; asked for more at once, some do."""
    folder = link_checkout(tmp_path)
    (folder / "slots.yaml").write_text(small_study("slots", weightings=["equal", "db_mtl", "aligned_mtl"]))
    (folder / "bin").mkdir()
    listed = folder / "bin/nvidia-smi"
    listed.write_text(f"#!/bin/sh\necho '0, GPU-{tmp_path.name}'\n")
    listed.chmod(0o755)
    for name in ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")
    cells = sorted(
        f"results/slots/cells/mtlesd/resnet/hps/{name}/r4-s0/done.json" for name in ("equal", "db_mtl", "aligned_mtl")
    )
    for asked, waiting in (((), 0), (("--resources", "gpu=3"), 1)):
        shutil.rmtree(folder / "results/slots/cells", ignore_errors=True)
        run = snakemake(folder, *cells, *asked, study="slots.yaml")
        assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-4000:]
        logs = [path.read_text() for path in folder.glob("results/slots/logs/train_cell/**/*.log")]
        assert len(logs) == 3 and all(f"device: GPU-{tmp_path.name} (slot 1 of 1)" in log for log in logs)
        assert sum("waiting for a GPU" in log for log in logs) >= waiting
        assert waiting or not any(re.search("waiting", log) for log in logs)
