"""Results in order, whatever the number of processes; a process that is killed is said."""

from __future__ import annotations

import os
import signal

import pytest

from pipeline.errors import InputError
from pipeline.parallel import ordered_map


def square(value: int) -> int:
    if value < 0:
        raise InputError(f"{value} is negative")
    return value * value


def die(value: int) -> int:
    if value == 70:
        os.kill(os.getpid(), signal.SIGKILL)
    return value


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order(workers: int) -> None:
    assert list(ordered_map(square, range(150), workers, "square")) == [value * value for value in range(150)]
    with pytest.raises(InputError, match="-1 is negative"):
        list(ordered_map(square, [*range(100), -1], workers, "square"))


def test_a_killed_process_is_said() -> None:
    with pytest.raises(InputError, match="was killed, probably for want of memory"):
        list(ordered_map(die, range(100), 2, "die"))
