"""Measures speed and memory of a step on a device. The first call, which compiles, is measured separately."""

from __future__ import annotations

import statistics
import time
from typing import Any

import torch

from benchmarks.gpu_parts.setup import Setup
from benchmarks.train_step import Step, once
from endoarss.devices import peak_memory_mib, reset_peak_memory


def steady(step: Step, images: int, setup: Setup) -> dict[str, Any]:
    """Measure a repeated step. As in a training, the device is synchronised only at the ends of a window.

    Args:
        step: the step to repeat.
        images: images per step.
        setup: the device, and the duration of the measurement.

    Returns:
        images_per_second (the median of the windows), fastest and slowest window, milliseconds per step, memory_mib (the peak of
        torch's allocations, after the first three steps), and first_step_s.
    """
    sizes, device = setup.sizes, setup.device
    first = once(step, device)
    for _ in range(2):
        step()
    reset_peak_memory(device)
    count = max(1, min(200, round(sizes.window_s / once(step, device))))
    times = [window(step, count, device) for _ in range(sizes.windows)]
    seconds = statistics.median(times)
    return {
        "images_per_second": images / seconds,
        "milliseconds": 1000 * seconds,
        "fastest": images / min(times),
        "slowest": images / max(times),
        **memory(device),
        "first_step_s": first,
    }


def window(step: Step, count: int, device: torch.device) -> float:
    """Return the seconds per step of `count` successive steps."""
    wait_for(device)
    started = time.perf_counter()
    for _ in range(count):
        step()
    wait_for(device)
    return (time.perf_counter() - started) / count


def wait_for(device: torch.device) -> None:
    """Wait until a GPU has finished all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def memory(device: torch.device) -> dict[str, float]:
    """Return the peak memory since the last reset, in MiB: allocated, and on a GPU also reserved by torch."""
    peaks = {"memory_mib": peak_memory_mib(device)}
    if device.type == "cuda":
        peaks["reserved_mib"] = torch.cuda.max_memory_reserved(device) / 2**20
    return peaks


def compile_in_parts(figures: dict[str, Any]) -> dict[str, Any]:
    """Replace the seconds of the first step by the seconds of its compilation."""
    first = figures.pop("first_step_s")
    return {**figures, "compile_s": max(0.0, first - figures["milliseconds"] / 1000)}
