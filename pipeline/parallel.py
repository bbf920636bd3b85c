"""The same function over many items, in several processes, with a progress bar and results in the items' order."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

import cv2
from tqdm import tqdm

from pipeline.errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")

_ITEMS_A_WORKER = 32  # a process takes half a second to start: it should get that much work at least
_AHEAD = 8  # items a worker has waiting: enough to keep it busy, few enough that memory does not grow with the items


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
        results = _pooled(function, items, workers) if workers > 1 else map(function, items)
        for result in results:
            progress.update()
            yield result


def _pooled(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    # Fresh processes: a fork would copy the state of whatever threads this one has.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_one_thread)
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= workers * _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool:
        raise InputError(
            "a process that read pictures was killed, probably for want of memory. Try fewer: --workers 1."
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _one_thread() -> None:
    cv2.setNumThreads(1)
