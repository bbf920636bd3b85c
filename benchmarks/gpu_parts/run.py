"""Runs the parts of the GPU benchmark one after the other, each in its own process, within the time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from benchmarks.gpu_parts.plan import PARTS, budget
from benchmarks.gpu_parts.table import Saved, table
from pipeline.errors import InputError
from pipeline.io.files import check_room, read_json, write_json, write_text

_ROOT = Path(__file__).parents[2]
# A part is stopped if its last measurement exceeds the part's time by the first share of the total time, or the total by the second.
_PART_GRACE, _TOTAL_GRACE = 0.2, 0.1


def run_parts(parts: Sequence[str], seconds: float, device: str, tiny: bool, out: Path) -> int:
    """Run some parts, and write the text of all results after each.

    Args:
        parts: the names of the parts, in order.
        seconds: the time for all of them.
        device: "cuda" or "cpu".
        tiny: whether to use the sizes of the dry run.
        out: the folder for results.

    Returns:
        1 if a part, or a measurement in it, failed; otherwise 0.
    """
    end = time.time() + seconds
    if device == "cuda" and not torch.cuda.is_available():
        raise SystemExit(
            "benchmarks.gpu: torch finds no GPU; expected one. For a dry run without a GPU: --device cpu --tiny."
        )
    try:
        check_room(out)
    except OSError as error:
        raise SystemExit(
            f"benchmarks.gpu: {out} is not writable ({error.strerror}). Choose another folder with --out."
        ) from None
    results: dict[str, Saved | str] = {}
    failed = False
    for number, name in enumerate(parts):
        left = end - time.time()
        if left < PARTS[name].least_s:
            results[name] = f"not started: {max(0.0, left):.0f} s were left, but it needs {PARTS[name].least_s:.0f} s"
            print(f"{name}: {results[name]}", flush=True)
        else:
            share = budget(left, parts[number:])
            print(f"{name}: up to {share:.0f} s", flush=True)
            started = time.time()
            until = started + share
            status: int | None = None
            try:
                status = _run_part(
                    name, device, tiny, out, until, min(until + _PART_GRACE * seconds, end + _TOTAL_GRACE * seconds)
                )
            finally:  # the text includes all measurements even if this process is told to end
                failed |= status != 0
                results[name] = _saved(name, out, status, started)
                write_text(out / "gpu.txt", table(results, tiny))
    write_text(out / "gpu.txt", table(results, tiny))
    print(f"\n{table(results, tiny)}\nSaved in {out}", flush=True)
    return int(failed)


def _run_part(name: str, device: str, tiny: bool, out: Path, until: float, stop: float) -> int | None:
    """Run a part in its own process group. Return its exit status, or None if it had to be stopped."""
    file, errors = out / f"{name}.json", out / f"{name}.stderr.txt"
    file.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="endoarss-gpu-") as folder, errors.open("wb") as stderr:
        command = [sys.executable, "-m", "benchmarks.gpu_parts", name, "--device", device, "--until", str(until)]
        command += ["--stop", str(stop)]
        command += ["--file", str(file), "--folder", folder, *(["--tiny"] if tiny else [])]
        quiet = {**os.environ, "TQDM_DISABLE": "1"}  # standard error is for failures
        process = subprocess.Popen(command, cwd=_ROOT, env=quiet, stderr=stderr, start_new_session=True)
        with _process_group_ended(process):
            try:
                status: int | None = process.wait(timeout=max(1.0, stop - time.time()))
            except subprocess.TimeoutExpired:
                status = None
    if not errors.stat().st_size:
        errors.unlink()
    return status


@contextmanager
def _process_group_ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """End a part and all processes that it started, even if this process is told to end."""

    def leave(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        signal.signal(signal.SIGTERM, before)


def _saved(name: str, out: Path, status: int | None, started: float) -> Saved | str:
    """Return the saved measurements of a part. If the part could not record how it ended, add that."""
    file = out / f"{name}.json"
    try:
        saved = read_json(file)
    except (FileNotFoundError, InputError):
        return f"FAILED: its process ended with status {status} before it saved anything. See {name}.stderr.txt"
    if saved["ended"] == "under way":
        reason = (
            "stopped early, because its time was over or the benchmark was told to end"
            if status is None
            else f"FAILED (its process ended with status {status})"
        )
        saved["seconds"] = time.time() - started
        saved["ended"] = f"{reason}. Its measurements until then are saved, and its messages are in {name}.stderr.txt"
        write_json(file, saved)
    return saved
