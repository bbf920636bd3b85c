"""One part of the GPU benchmark: its measurements so far, saved after each measurement."""

from __future__ import annotations

import gc
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_parts.setup import Setup
from benchmarks.gpu_parts.table import line
from endoarss.devices import is_out_of_memory
from pipeline.io.files import write_json

Figures = dict[str, Any]


class Part:
    """A running part, which takes measurements until its time is over and saves each one at once.

    Args:
        name: the name of the part.
        file: the JSON file for its measurements.
        machine: the description of the machine.
        setup: sizes, device and folder.
        until: when no further measurement starts, in seconds since the epoch.
    """

    def __init__(self, name: str, file: Path, machine: Figures, setup: Setup, until: float) -> None:
        self.name, self.file, self.machine, self.setup, self.until = name, file, machine, setup, until
        self.rows: list[Figures] = []
        self.not_measured: list[str] = []
        self._started = time.time()
        self._output = sys.stdout

    @property
    def out_of_time(self) -> bool:
        """Return whether no further measurement may start."""
        return time.time() >= self.until

    def measure(self, name: str, figures_of: Callable[[], Figures]) -> Figures | None:
        """Take one measurement. Save and print its figures, or the reason why it failed.

        Args:
            name: the name of the measurement.
            figures_of: a function that builds the model and returns the figures by name.

        Returns:
            The figures, or None if the time is over, memory ran out, or the measurement failed.

        Raises:
            RuntimeError: if the device no longer responds after a failure, so that the part cannot continue.
        """
        if self.out_of_time:
            self.not_measured.append(name)
            return None
        row: Figures = {"name": name}
        started = time.perf_counter()
        try:
            row |= figures_of()
        except Exception as error:  # no error may stop the measurements after it
            if isinstance(error, RuntimeError) and is_out_of_memory(error):
                row["out_of_memory"] = in_one_line(error)
            else:
                traceback.print_exc()
                row["failed"] = in_one_line(error)
        row["took_s"] = time.perf_counter() - started
        self.add(row)
        gc.collect()
        if self.setup.device.type == "cuda":
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
        return None if "failed" in row or "out_of_memory" in row else row

    def add(self, row: Figures) -> None:
        """Save and print a measurement."""
        self.rows.append(row)
        self.save("under way")
        print(f"  {line(row)}", file=self._output, flush=True)

    def save(self, ended: str) -> None:
        """Write the part's file. `ended` is "under way", or how the part ended."""
        content = {
            "part": self.name,
            "machine": self.machine,
            "ended": ended,
            "seconds": time.time() - self._started,
            "not_measured": self.not_measured,
            "rows": self.rows,
        }
        write_json(self.file, content)


def in_one_line(error: BaseException) -> str:
    """Return the type of an error and the first line of its message, at most 200 characters."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"[:200]
