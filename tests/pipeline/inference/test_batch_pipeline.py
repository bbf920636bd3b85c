"""Reading, computing and writing batches at the same time: order, memory and errors. Stages wait for one another by events, not by time."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pytest

from pipeline.inference.batch_pipeline import run_batches

PATIENCE = 30  # seconds until a stage that waits in vain gives up, so that a failed test ends


def pairs(count: int) -> list[list[int]]:
    return [[2 * index, 2 * index + 1] for index in range(count)]


def identity(batch: Sequence[int]) -> Sequence[int]:
    return batch


@pytest.mark.parametrize("writers", [1, 3])
@pytest.mark.parametrize("batches", [[], [[7]], [*pairs(5), [10]]])
def test_rows_are_in_order(batches: list[list[int]], writers: int) -> None:
    rows: list[tuple[int, int, int]] = []
    run_batches(
        iter(batches),
        lambda batch: [10 * item for item in batch],
        lambda results, position, item: (results[position], position, item),
        rows.append,
        writers,
    )
    assert rows == [(10 * item, position, item) for batch in batches for position, item in enumerate(batch)]


def test_a_batch_is_read_and_one_is_computed_while_one_is_written() -> None:
    third_is_read, second_is_computed = threading.Event(), threading.Event()
    waited: list[bool] = []

    def read() -> Iterator[list[int]]:
        for batch in pairs(3):
            if batch == [4, 5]:
                third_is_read.set()
            yield batch

    def compute(batch: Sequence[int]) -> Sequence[int]:
        if batch == [2, 3]:
            waited.append(third_is_read.wait(PATIENCE))
            second_is_computed.set()
        return batch

    def write(results: Sequence[int], position: int, item: int) -> int:
        if item == 0:
            waited.append(second_is_computed.wait(PATIENCE) and third_is_read.is_set())
        return item

    rows: list[int] = []
    run_batches(read(), compute, write, rows.append, 1)
    assert waited == [True, True] and rows == list(range(6))


def test_this_thread_writes_what_no_other_has_begun() -> None:
    """The one writer is held by the first item until all others are written, which it cannot do itself."""
    left, done = {1, 2, 3}, threading.Event()
    waited: list[bool] = []

    def write(results: Sequence[int], position: int, item: int) -> int:
        if item == 0:
            waited.append(done.wait(PATIENCE))
        else:
            left.discard(item)
            if not left:
                done.set()
        return item

    rows: list[int] = []
    run_batches(iter([[0, 1, 2, 3]]), identity, write, rows.append, 1)
    assert waited == [True] and rows == [0, 1, 2, 3]


def test_no_more_than_three_batches_are_in_memory() -> None:
    lock, read, written, ahead = threading.Lock(), 0, 0, list[int]()

    def batches() -> Iterator[list[int]]:
        nonlocal read
        for batch in pairs(50):
            with lock:
                read += len(batch)
                ahead.append(read - written)
            yield batch

    def write(results: Sequence[int], position: int, item: int) -> int:
        nonlocal written
        with lock:
            written += 1
        return item

    run_batches(batches(), identity, write, lambda row: None, 2)
    assert read == written == 100 and max(ahead) <= 6


@pytest.mark.parametrize("stage", ["read", "compute", "write", "finish"])
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_an_error_of_a_stage_ends_the_others(stage: str, error: type[BaseException]) -> None:
    threads, finished = threading.active_count(), list[int]()

    def fail_at(name: str, item: int) -> None:
        if name == stage and item == 4:
            raise error(stage)

    def read() -> Iterator[list[int]]:
        for batch in pairs(50):
            fail_at("read", batch[0])
            yield batch

    def compute(batch: Sequence[int]) -> Sequence[int]:
        fail_at("compute", batch[0])
        return batch

    def write(results: Sequence[int], position: int, item: int) -> int:
        fail_at("write", item)
        return item

    def finish(item: int) -> None:
        fail_at("finish", item)
        finished.append(item)

    with pytest.raises(error, match=stage):
        run_batches(read(), compute, write, finish, 2)
    assert finished == list(range(len(finished))) and len(finished) <= 4
    assert threading.active_count() == threads
