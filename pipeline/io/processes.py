"""Apply a function to many items in several processes, with a progress bar and results in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import TypeVar

from tqdm import tqdm

import corruptions.workers
from corruptions.errors import WorkerKilledError
from corruptions.workers import in_order
from pipeline.errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")

_MIN_ITEMS_PER_WORKER = 32  # for fewer items, a process does not save the half second that its start takes
_WAITING_PER_WORKER = 8  # number of waiting items that keeps a worker busy and bounds the memory


def ordered_map(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int,
    label: str,
    unit: str = "frame",
    done: int = 0,
) -> Iterator[Result]:
    """Yield function(item) for each item, in order.

    Args:
        function: must be importable by name (or a partial of such a function), because it runs in other processes.
        items: its arguments.
        workers: the largest number of processes. A few items run in this process.
        label: title of the progress bar.
        unit: unit of the progress bar.
        done: number of items that were done before; the progress bar starts there.

    Raises:
        Exception: whatever the function raises. Items that have not begun are dropped.
    """
    with tqdm(total=done + len(items), initial=done, desc=label, unit=unit, mininterval=0.5) as progress:
        workers = min(workers, len(items) // _MIN_ITEMS_PER_WORKER)
        with processes(workers if workers > 1 else 0) as pool:
            for result in in_order(pool, function, items, workers * _WAITING_PER_WORKER):
                progress.update()
                yield result


@contextmanager
def processes(count: int) -> Iterator[Executor]:
    """Yield a pool of `count` processes, which end with this one. If `count` is 0, this process does the work.

    Raises:
        InputError: if a process of the pool is killed.
    """
    try:
        with corruptions.workers.processes(count) as pool:
            yield pool
    except WorkerKilledError as error:
        raise InputError(str(error)) from None
