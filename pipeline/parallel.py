"""The same function over many items, in several processes, with results in the items' order."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

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
        with processes(workers if workers > 1 else 0) as pool:
            for result in in_order(pool, function, items, workers * _AHEAD):
                progress.update()
                yield result


@contextmanager
def processes(count: int) -> Iterator[Executor]:
    """Processes that wait for work; with a count of 0 the work is done in this one, when it is submitted.

    Raises:
        InputError: if one of them is killed.
    """
    if count == 0:
        yield _Here()
        return
    # Fresh processes: a fork would copy the state of whatever threads this one has.
    pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), initializer=_one_thread)
    try:
        yield pool
    except BrokenProcessPool:
        raise InputError(
            "a process that worked on pictures was killed, probably for want of memory. Try fewer: --workers 1."
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def in_order(pool: Executor, function: Callable[[Item], Result], items: Iterable[Item], ahead: int) -> Iterator[Result]:
    """Yield function(item) for each item, in order, while up to `ahead` further items are worked on."""
    waiting: deque[Future[Result]] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


class _Here(Executor):
    """Does what is submitted at once."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(function(*arguments, **named))
        return done


def _one_thread() -> None:
    cv2.setNumThreads(1)
