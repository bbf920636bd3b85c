"""Results in order, whatever the number of processes; a process that is killed is said."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pipeline.errors import InputError
from pipeline.io.processes import ordered_map


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
    with pytest.raises(InputError, match="was killed, probably because memory ran out"):
        list(ordered_map(die, range(100), 2, "die"))


def test_processes_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    """Killed, as a scheduler kills: nothing stays behind and holds memory."""
    script = (
        "import os, time\n"
        "from pipeline.io.processes import processes\n"
        "if __name__ == '__main__':\n"
        "    with processes(2) as pool:\n"
        "        pool.submit(os.getpid).result()\n"
        "        print('ready', flush=True)\n"
        "        time.sleep(100)\n"
    )
    path = tmp_path / "script.py"
    path.write_text(script)
    parent = subprocess.Popen([sys.executable, str(path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None and parent.stdout.readline() == "ready\n"
    children = psutil.Process(parent.pid).children(recursive=True)
    assert children
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive
