"""Runs one part of the GPU benchmark in this process, for `python -m benchmarks.gpu`."""

from __future__ import annotations

import argparse
import faulthandler
import importlib
import platform
import shutil
import subprocess
import sys
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path

import torch

from benchmarks.gpu_parts.part import Figures, Part, in_one_line
from benchmarks.gpu_parts.setup import Setup


def main() -> int:
    """Run the part. Return 1 if the part, or a measurement in it, failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part")
    parser.add_argument("--device", required=True)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument(
        "--until", type=float, required=True, help="when no further measurement starts, in seconds since the epoch"
    )
    parser.add_argument(
        "--stop",
        type=float,
        required=True,
        help="when this process is stopped from outside, in seconds since the epoch",
    )
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    # If the part hangs, the traceback shows where.
    faulthandler.dump_traceback_later(max(1.0, options.stop - time.time() - 3))
    setup = Setup(options.tiny, torch.device(options.device), options.folder)
    setup.prepare()
    part = Part(options.part, options.file, machine(setup.device), setup, options.until)
    part.save("under way")
    try:
        importlib.import_module(f"benchmarks.gpu_parts.{options.part}").run(part)
    except Exception as error:  # the error is reported, and the next parts run
        traceback.print_exc()
        part.save(f"FAILED ({in_one_line(error)})")
        return 1
    part.save("out of time" if part.not_measured else "done")
    return int(any("failed" in row for row in part.rows))


def machine(device: torch.device) -> Figures:
    """Return the description of the machine: card, driver, versions, date."""
    on_gpu = device.type == "cuda"
    return {
        "card": torch.cuda.get_device_name(device) if on_gpu else f"none; CPU ({platform.machine()})",
        "memory": f"{torch.cuda.get_device_properties(device).total_memory / 2**20:,.0f} MiB" if on_gpu else "-",
        "driver": driver() if on_gpu else "-",
        "torch": torch.__version__,
        "CUDA": torch.version.cuda or "-",
        "Python": platform.python_version(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def driver() -> str:
    """Return the version of NVIDIA's driver, or "unknown" if nvidia-smi does not report it."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return "unknown"
    command = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        versions = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return versions[0] if versions else "unknown"


if __name__ == "__main__":
    sys.exit(main())
