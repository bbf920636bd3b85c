"""The harness sees what it looks for."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from harness import Outcome, attempt

from pipeline.errors import InputError


def refuse() -> None:
    raise InputError("no")


def crash() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    ("function", "kind", "door"),
    [
        (lambda: None, "accepted", ""),
        (refuse, "refused", ""),
        (lambda: 1 / 0, "traceback", ""),
        (crash, "crash", ""),
        (lambda: time.sleep(60), "hang", ""),
        (lambda: Path("/etc/hostname").read_bytes(), "accepted", "reads /etc/hostname"),
        (lambda: Path("/var/tmp/x-endoarss").write_text("x"), "accepted", "writes /var/tmp/x-endoarss"),
        (lambda: socket.create_connection(("127.0.0.1", 9), 0.1), "traceback", "socket.connect"),
        (lambda: subprocess.run(["true"], check=False), "accepted", "subprocess.Popen"),
    ],
)
def test_each_outcome_is_told(function: Callable[[], object], kind: str, door: str, tmp_path: Path) -> None:
    outcome: Outcome = attempt(function, [tmp_path], limit=1.0)
    assert outcome.kind == kind
    assert any(one.startswith(door) for one in outcome.doors) if door else not outcome.doors
    Path("/var/tmp/x-endoarss").unlink(missing_ok=True)
