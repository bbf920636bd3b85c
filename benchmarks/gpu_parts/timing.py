"""Speed and memory of a step on a device, the first call (which compiles) apart."""

from __future__ import annotations

import statistics
import time
from typing import Any

import torch

from benchmarks.gpu_parts.setup import Setup
from benchmarks.train_step import Step, once
from endoarss.devices import peak_memory_mib, reset_peak_memory


def steady(step: Step, images: int, setup: Setup) -> dict[str, Any]:
    """Measure a step that is repeated; the device is waited for only at the ends of a window, as in a training.

    Args:
        step: what to repeat. images: how many one step takes. setup: says how long to measure, and where.

    Returns:
        images_per_second (the median of the windows), fastest and slowest window, milliseconds per step, memory_mib (the peak of
        what torch held, after the first three steps), and first_step_s.
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
    """Return the seconds per step of `count` steps after one another."""
    wait_for(device)
    started = time.perf_counter()
    for _ in range(count):
        step()
    wait_for(device)
    return (time.perf_counter() - started) / count


def wait_for(device: torch.device) -> None:
    """Wait until a GPU has done all it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def memory(device: torch.device) -> dict[str, float]:
    """Return the peak since the last reset, in MiB: allocated, and on a GPU what torch had reserved for it."""
    found = {"memory_mib": peak_memory_mib(device)}
    if device.type == "cuda":
        found["reserved_mib"] = torch.cuda.max_memory_reserved(device) / 2**20
    return found


def compile_in_parts(figures: dict[str, Any]) -> dict[str, Any]:
    """Replace the seconds of the first step by those that compiling took of it."""
    first = figures.pop("first_step_s")
    return {**figures, "compile_s": max(0.0, first - figures["milliseconds"] / 1000)}
