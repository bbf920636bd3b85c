"""The same function over many items in several processes, which end when this one does."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import TypeVar

import cv2

from corruptions.errors import CorruptionError

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
    return _pooled(function, items, workers) if workers > 1 else (function(item) for item in items)


def _pooled(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Generator[Result, None, None]:
    # Fresh processes: a fork would copy the state of whatever threads this one has.
    context = multiprocessing.get_context("spawn")
    leash, holder = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(leash,))
    waiting: deque[Future[Result]] = deque()
    complete = False
    try:
        for item in items:
            with _no_interrupt():
                waiting.append(pool.submit(function, item))
            if len(waiting) >= workers * _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
        complete = True
    except BrokenProcessPool:
        raise CorruptionError(
            "a process that corrupted pictures was killed, probably for want of memory. The same command goes on from "
            "there; try it with --workers 1."
        ) from None
    finally:
        if not complete:
            holder.close()
        pool.shutdown(wait=True, cancel_futures=True)
        holder.close()
        leash.close()


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
