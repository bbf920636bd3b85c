"""The same function over many items in several processes, which end when this one does."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, TypeVar

import cv2

from corruptions.errors import WorkerKilledError
from corruptions.system_errors import shared_memory_named

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 4  # items a worker has waiting: enough to keep it busy, few enough that memory does not grow with the items


def ordered_results(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Generator[Result, None, None]:
    """Yield function(item) for each item, in order. Close the generator to stop: nothing is finished first then.

    Args:
        function: importable by name (or a partial of such a function), for it runs in other processes.
        items: its arguments. workers: processes at most; with one, the function runs in this process.

    Raises:
        Whatever the function raises. CorruptionError: if a process was killed.
    """
    workers = min(workers, len(items))
    with processes(workers if workers > 1 else 0) as pool:
        yield from in_order(pool, function, items, workers * _AHEAD)


@contextmanager
def processes(count: int) -> Iterator[Executor]:
    """Processes that wait for work and end with this one, however it ends; left by an error, they stop at once.

    Args:
        count: how many; with 0 the work is done in this process, when it is submitted.

    Raises:
        WorkerKilledError: if one of them is killed. OSError: if there is no shared memory for their locks.
    """
    if count == 0:
        yield _Here()
        return
    # Fresh processes: a fork would copy the state of whatever threads this one has.
    context = multiprocessing.get_context("spawn")
    leash, holder = context.Pipe(duplex=False)
    with shared_memory_named():
        pool = _Pool(count, context, initializer=_begin, initargs=(leash,))
    complete = False
    try:
        yield pool
        complete = True
    except BrokenProcessPool:
        raise WorkerKilledError(
            "a process that worked on pictures was killed, probably for want of memory. Try fewer: --workers 1."
        ) from None
    finally:
        if not complete:
            holder.close()
        pool.shutdown(wait=True, cancel_futures=True)
        holder.close()
        leash.close()


def in_order(
    pool: Executor, function: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Generator[Result, None, None]:
    """Yield function(item) for each item, in order, while other processes work on up to `ahead` further items."""
    waiting: deque[Future[Result]] = deque()
    ahead = 0 if isinstance(pool, _Here) else ahead
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


class _Pool(ProcessPoolExecutor):
    """Starts its processes, which happens when work comes, so that Ctrl-C never reaches them."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        with _no_interrupt():
            return super().submit(function, *arguments, **named)


class _Here(Executor):
    """Does what is submitted at once."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(function(*arguments, **named))
        return done


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Hold Ctrl-C back; a process that is started meanwhile never gets it, so that only this one has to answer it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(leash: Connection) -> None:
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with, args=(leash,), daemon=True).start()


def _end_with(leash: Connection) -> None:
    """End this process when the other end of the pipe is closed, which is also what happens when its holder is killed."""
    leash.poll(None)
    os._exit(1)
