"""A pipeline for batches: while one batch is computed, the next one is read and the previous one is written."""

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
    """Compute each batch while the next one is read and the previous one is written.

    At most three batches are in memory: a batch is read only when the previous one goes into `compute`, and written only when the previous
    one is written.

    Args:
        batches: yields the batches; it is advanced in a thread of its own.
        compute: returns the results of a batch; called in this thread.
        write: writes one item and returns its row. It takes the results of `compute`, the position in the batch, and the item. It is
            called in any order, in several threads at once, and in this thread if this thread would otherwise wait.
        finish: takes a row; called in this thread, in the order of the items.
        writers: number of threads that write.

    Raises:
        BaseException: the first error of any stage. Reads and writes that have begun are completed first, and no others begin.
    """
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(writers) as pool:
        submitted: list[tuple[Callable[[], Row], Future[Row]]] = []
        try:
            next_batch = reader.submit(next, batches, None)
            while (batch := next_batch.result()) is not None:
                next_batch = reader.submit(next, batches, None)
                results = compute(batch)
                for row in _rows(submitted):
                    finish(row)
                writes = [partial(write, results, position, item) for position, item in enumerate(batch)]
                submitted = [(write_one, pool.submit(write_one)) for write_one in writes]
            for row in _rows(submitted):
                finish(row)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _rows(submitted: Sequence[tuple[Callable[[], Row], Future[Row]]]) -> list[Row]:
    """Return the rows of a batch in order. This thread runs the writes that no other thread has begun, the last one first."""
    written_here = {
        position: write() for position, (write, future) in reversed(list(enumerate(submitted))) if future.cancel()
    }
    return [
        written_here[position] if position in written_here else future.result()
        for position, (_, future) in enumerate(submitted)
    ]
