"""Runs one function over many items in several processes, which end when this process ends."""

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

_QUEUED_PER_WORKER = (
    4  # queued items per worker: enough to occupy it, and few enough that memory use does not grow with the items
)


def ordered_results(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Generator[Result, None, None]:
    """Yield function(item) for each item, in order. Close the generator to stop at once; running items are not finished.

    Args:
        function: importable by name (or a partial of such a function), because it runs in other processes.
        items: the arguments, one per call.
        workers: the largest number of processes; with one, the function runs in this process.

    Raises:
        WorkerKilledError: if a process was killed.
        OSError: if there is no shared memory for several processes.
        Exception: any error of the function.
    """
    workers = min(workers, len(items))
    with processes(workers if workers > 1 else 0) as pool:
        yield from in_order(pool, function, items, workers * _QUEUED_PER_WORKER)


@contextmanager
def processes(count: int) -> Iterator[Executor]:
    """Yield a pool of processes that end with this process, however it ends; an error in the block stops them at once.

    Args:
        count: the number of processes; with 0, the work runs in this process when it is submitted.

    Raises:
        WorkerKilledError: if a process is killed.
        OSError: if there is no shared memory for the locks of the pool.
    """
    if count == 0:
        yield _InThisProcess()
        return
    # New processes, because a fork would copy the state of this process's threads.
    context = multiprocessing.get_context("spawn")
    read_end, write_end = context.Pipe(duplex=False)
    with shared_memory_named():
        pool = _Pool(count, context, initializer=_prepare_worker, initargs=(read_end,))
    complete = False
    try:
        yield pool
        complete = True
    except BrokenProcessPool:
        raise WorkerKilledError(
            "a worker process was killed, probably because memory ran out. Use fewer processes: --workers 1."
        ) from None
    finally:
        if not complete:
            write_end.close()
        pool.shutdown(wait=True, cancel_futures=True)
        write_end.close()
        read_end.close()


def in_order(
    pool: Executor, function: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Generator[Result, None, None]:
    """Yield function(item) for each item, in order, while the pool works on up to `ahead` further items."""
    waiting: deque[Future[Result]] = deque()
    ahead = 0 if isinstance(pool, _InThisProcess) else ahead
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


class _Pool(ProcessPoolExecutor):
    """A pool that starts its processes when calls are submitted. The processes never receive Ctrl-C."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        with _no_interrupt():
            return super().submit(function, *arguments, **named)


class _InThisProcess(Executor):
    """An executor that runs each call at once in this process."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(function(*arguments, **named))
        return done


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Block Ctrl-C within the block. A process that is started in the block never receives Ctrl-C, so only this process handles it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _prepare_worker(read_end: Connection) -> None:
    """Prepare a worker process: one OpenCV thread, and a thread that ends the process with its parent."""
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_parent, args=(read_end,), daemon=True).start()


def _end_with_parent(read_end: Connection) -> None:
    """End this process when the other end of the pipe is closed, which also happens when the parent is killed."""
    read_end.poll(None)
    os._exit(1)
