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

_ITEMS_A_WORKER = 32  # starting a process takes half a second, so it should get at least that much work
_AHEAD = 8  # items that wait per worker: enough to keep it busy, and few enough to bound memory


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
        function: importable by name (or a partial of such a function), for it runs in other processes.
        items: its arguments. workers: processes at most; few items run in this one.
        label, unit: of the progress bar. done: how many items were done before; the bar starts there.

    Raises:
        Whatever the function raises; items not yet begun are dropped then.
    """
    with tqdm(total=done + len(items), initial=done, desc=label, unit=unit, mininterval=0.5) as progress:
        workers = min(workers, len(items) // _ITEMS_A_WORKER)
        with processes(workers if workers > 1 else 0) as pool:
            for result in in_order(pool, function, items, workers * _AHEAD):
                progress.update()
                yield result


@contextmanager
def processes(count: int) -> Iterator[Executor]:
    """Yield processes that wait for work and end with this one; with a count of 0 this process does the work.

    Raises:
        InputError: if one of them is killed.
    """
    try:
        with corruptions.workers.processes(count) as pool:
            yield pool
    except WorkerKilledError as error:
        raise InputError(str(error)) from None
