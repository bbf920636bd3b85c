"""Measures one, two and three simultaneous trainings on one card: the images per second of all trainings together."""

from __future__ import annotations

import multiprocessing
import time
import traceback
from collections.abc import Sequence
from functools import partial
from multiprocessing.connection import Connection

import torch

from benchmarks.gpu_parts import problems
from benchmarks.gpu_parts.part import Figures, Part, in_one_line
from benchmarks.gpu_parts.setup import Setup
from benchmarks.gpu_parts.timing import memory, window
from benchmarks.train_step import Step, once, ours, weighting
from endoarss.devices import compile_model, reset_peak_memory

_SECONDS = 3.0  # duration of a measurement
_STEPS = 5  # steps between synchronisations with the device
# Seconds after the end of the part's time in which a cell may still reply.
_GRACE_S = 60.0


def run(part: Part) -> None:
    """Start the cells one after the other, so that each reuses the code that the first has compiled, and train with all started cells."""
    problems.backbone_settings(part.setup, "endoarss")  # writes the file of weights once, before the cells read it
    context = multiprocessing.get_context("spawn")
    cells = []
    try:
        for count in range(1, part.setup.sizes.cells + 1):
            if part.out_of_time:
                part.not_measured.append(f"{count} at once")
                break
            our_end, cell_end = context.Pipe()
            process = context.Process(target=cell, args=(cell_end, part.setup))
            process.start()
            cell_end.close()  # so that the pipe closes when the cell ends
            cells.append((process, our_end))
            part.measure(f"cell {count} starts and compiles", partial(started, part, [our_end]))
            connections = [connection for _, connection in cells]
            part.measure(f"{count} at once, training step, bf16, compiled", partial(together, part, connections))
    finally:
        for process, connection in cells:
            connection.close()  # a waiting cell then ends by itself
            process.join(5)
            process.terminate()
            process.join()


def cell(connection: Connection, setup: Setup) -> None:
    """Train in a separate process. The pipe delivers the number of seconds of each training."""
    try:
        setup.prepare()
        torch.backends.cudnn.benchmark = setup.device.type == "cuda"  # as in a training
        problem = problems.build(setup, "endoarss", "tesla", "bf16")
        compile_model(problem.model, problem.model.backbone.front)
        step = ours(problem, weighting(problem, "db_mtl"))
        first = once(step, setup.device)
        connection.send({"compile_s": first - window(step, _STEPS, setup.device)})
        while True:
            connection.send(train_for(connection.recv(), step, setup))
    except EOFError:
        return  # the other end is closed
    except Exception as error:
        traceback.print_exc()
        connection.send({"failed": in_one_line(error)})


def train_for(seconds: float, step: Step, setup: Setup) -> Figures:
    """Train for some seconds, and return images per second and memory."""
    reset_peak_memory(setup.device)
    started, steps = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - started) < seconds:
        window(step, _STEPS, setup.device)
        steps += _STEPS
    return {"images_per_second": steps * setup.sizes.batch / elapsed, **memory(setup.device)}


def started(part: Part, connections: Sequence[Connection]) -> Figures:
    """Wait until cells have compiled, and return the longest time."""
    replies = received(part, connections)
    return {"compile_s": max(reply["compile_s"] for reply in replies)}


def together(part: Part, connections: Sequence[Connection]) -> Figures:
    """Let some cells train at the same time, and return the sum of their speeds."""
    for connection in connections:
        connection.send(_SECONDS if not part.setup.tiny else 0.01)
    replies = received(part, connections)
    speeds = [reply["images_per_second"] for reply in replies]
    return {
        "images_per_second": sum(speeds),
        "memory_mib": sum(reply["memory_mib"] for reply in replies),
        "slowest": min(speeds),
        "fastest": max(speeds),
    }


def received(part: Part, connections: Sequence[Connection]) -> list[Figures]:
    """Return the reply of each cell.

    Raises:
        RuntimeError: if a cell failed, has ended, or does not reply.
    """
    replies: list[Figures] = []
    for connection in connections:
        if not connection.poll(max(0.0, part.until - time.time()) + _GRACE_S):
            replies.append({"failed": "no reply in time"})
            continue
        try:
            replies.append(connection.recv())
        except EOFError:
            replies.append({"failed": "its process has ended"})
    for number, reply in enumerate(replies, start=1):
        if "failed" in reply:
            raise RuntimeError(f"cell {number} of {len(replies)}: {reply['failed']}")
    return replies
