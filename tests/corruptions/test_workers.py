"""Several processes: results in order, an end without waiting, and a word where one was killed."""

from __future__ import annotations

import os
import time

import psutil
import pytest

from corruptions import CorruptionError
from corruptions.workers import ordered_results


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order(workers: int) -> None:
    assert list(ordered_results(abs, range(-40, 0), workers)) == list(range(40, 0, -1))


def test_closing_does_not_wait_for_what_is_begun() -> None:
    results = ordered_results(time.sleep, [0, 90, 90, 90], 2)
    next(results)
    workers = psutil.Process().children(recursive=True)
    started = time.monotonic()
    results.close()
    assert time.monotonic() - started < 45
    assert not any("spawn_main" in " ".join(worker.cmdline()) for worker in workers if worker.is_running())


def test_a_killed_process_is_said() -> None:
    with pytest.raises(CorruptionError, match="was killed, probably because memory ran out"):
        list(ordered_results(os._exit, [1, 1, 1], 2))
