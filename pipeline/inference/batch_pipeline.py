"""A pipeline of three stages for batches: one is read, one is computed and one is written at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Row = TypeVar("Row")


def run_batches(
    batches: Iterator[Sequence[Item]],
    compute: Callable[[Sequence[Item]], Result],
    write: Callable[[Result, int, Item], Row],
    finish: Callable[[Row], object],
    writers: int,
) -> None:
    """Compute each batch while the next one is read and the one before it is written.

    At most three batches are in memory, however many there are: the next one is read only when a batch goes into `compute`, and a batch
    is handed to the writers only when the one before it is written.

    Args:
        batches: the batches; a thread of its own advances it.
        compute: returns the results of a batch; called in this thread.
        write: writes the results of one item: results of `compute`, position in the batch, item. Called in any order, in several threads
            at once, and in this thread where it would otherwise wait.
        finish: takes what `write` returned; called in this thread, in the order of the items.
        writers: number of threads that write.

    Raises:
        BaseException: the first error of any stage, once what is being read and written has ended; nothing more is begun.
    """
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(writers) as pool:
        begun: list[tuple[Callable[[], Row], Future[Row]]] = []
        try:
            waiting = reader.submit(next, batches, None)
            while (batch := waiting.result()) is not None:
                waiting = reader.submit(next, batches, None)
                results = compute(batch)
                for row in _rows(begun):
                    finish(row)
                writes = [partial(write, results, position, item) for position, item in enumerate(batch)]
                begun = [(write_one, pool.submit(write_one)) for write_one in writes]
            for row in _rows(begun):
                finish(row)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _rows(begun: Sequence[tuple[Callable[[], Row], Future[Row]]]) -> list[Row]:
    """Return what the writes of a batch return, in their order; this thread does those that no other has begun, the last one first."""
    here = {position: write() for position, (write, future) in reversed(list(enumerate(begun))) if future.cancel()}
    return [here[position] if position in here else future.result() for position, (_, future) in enumerate(begun)]
