"""Try one thing in a process of its own: what came of it, how long it took, how much memory, and which doors it tried.

Every attempt is a fork of a process that has imported everything, so that one costs milliseconds; a hang is killed, a crash
is seen. An audit hook records each file that is opened outside the allowed folders, each address, and each program started.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from corruptions.errors import CorruptionError
from endoarss.errors import MediaError, SettingsError, TrainingError
from pipeline.errors import InputError
from reports.errors import ResultsError

LIMIT_SECONDS = 10.0
LIMIT_BYTES = 2 << 30
REFUSALS = (InputError, MediaError, SettingsError, TrainingError, CorruptionError, ResultsError, FileNotFoundError)
_NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request", "http.client.connect")
_PROGRAMS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "ctypes.dlopen")
_CHANGES = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.chmod", "os.truncate")


@dataclass(frozen=True)
class Outcome:
    """What came of one attempt.

    kind: accepted, refused, traceback, hang, or crash. said: the message, or the error and its place. seconds, bytes: what it
    took; bytes is the largest resident size, the libraries among it. doors: what it opened that it may not.
    """

    kind: str
    said: str
    seconds: float
    bytes: int
    doors: list[str] = field(default_factory=list)


@dataclass
class Tally:
    """The outcomes of one kind of input."""

    tried: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    bytes: int = 0
    doors: list[str] = field(default_factory=list)
    odd: dict[str, str] = field(default_factory=dict)  # an example of each traceback, hang and crash

    def add(self, name: str, outcome: Outcome) -> None:
        """Count an outcome; name: what was tried."""
        self.tried += 1
        self.kinds[outcome.kind] += 1
        self.seconds, self.bytes = max(self.seconds, outcome.seconds), max(self.bytes, outcome.bytes)
        self.doors += [f"{name}: {door}" for door in outcome.doors]
        if outcome.kind in ("traceback", "hang", "crash"):
            self.odd.setdefault(f"{outcome.kind} {outcome.said}", name)
        if outcome.bytes > LIMIT_BYTES:
            self.odd.setdefault(f"{outcome.bytes:,} bytes", name)


def _below_a_descriptor(arguments: tuple[Any, ...]) -> bool:
    """Whether a path is relative to an open folder, as where a tree is removed: opening that folder was seen before."""
    return not os.path.isabs(os.fsdecode(arguments[0])) and isinstance(arguments[-1], int) and arguments[-1] >= 0


class _Doors:
    """The audit hook: it cannot be taken away, so it is switched on in the forked process alone."""

    def __init__(self) -> None:
        self.folders: tuple[str, ...] = ()
        self.seen: list[str] = []
        self.on = False
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event in _NETWORK or event in _PROGRAMS:
            self.seen.append(f"{event} {str(arguments)[:120]}")
        elif event == "open" and isinstance(arguments[0], (str, bytes)):
            path = os.path.abspath(os.fsdecode(arguments[0]))
            writes = bool((arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC))
            if not self._allowed(path, writes):
                self.seen.append(f"{'writes' if writes else 'reads'} {path}")
        elif event in _CHANGES and isinstance(arguments[0], (str, bytes)) and not _below_a_descriptor(arguments):
            path = os.path.abspath(os.fsdecode(arguments[0]))
            if not self._allowed(path, writes=True):
                self.seen.append(f"{event} {path}")

    def _allowed(self, path: str, writes: bool) -> bool:
        if path.startswith(self.folders):
            return True
        code = (
            sys.prefix,
            sys.base_prefix,
            str(Path(__file__).parents[2]),
            "/proc/",
            "/sys/",
            "/usr/",
            "/lib",
            "/etc/localtime",
        )
        return path == "/dev/null" or (not writes and path.startswith(code))


_doors = _Doors()


def attempt(function: Callable[[], object], folders: Sequence[Path], limit: float = LIMIT_SECONDS) -> Outcome:
    """Run a function in a forked process.

    Args:
        function: what is tried. folders: where it may read and write, besides reading code. limit: seconds until it is killed.
    """
    reader, writer = os.pipe()
    started = time.perf_counter()
    child = os.fork()
    if child == 0:
        _run_child(function, folders, writer)
    os.close(writer)
    text = b""
    killed = False
    while True:
        left = limit - (time.perf_counter() - started)
        ready, _, _ = select.select([reader], [], [], max(0.0, left))
        if not ready:
            os.kill(child, signal.SIGKILL)
            killed = True
            break
        part = os.read(reader, 1 << 16)
        if not part:
            break
        text += part
    os.close(reader)
    _, status, usage = os.wait4(child, 0)
    seconds, largest = time.perf_counter() - started, usage.ru_maxrss * 1024
    if killed:
        return Outcome("hang", f"over {limit:g} s", seconds, largest)
    if not text:
        return Outcome("crash", f"status {status}", seconds, largest)
    told = json.loads(text)
    return Outcome(told["kind"], told["said"], seconds, largest, told["doors"])


def _run_child(function: Callable[[], object], folders: Sequence[Path], writer: int) -> None:
    kind, said = "accepted", ""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    try:
        _doors.folders = tuple(os.path.abspath(folder) for folder in folders)
        _doors.on = True
        function()
    except REFUSALS as error:
        kind, said = "refused", str(error)
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        kind, said = (
            "traceback",
            f"{type(error).__name__} at {Path(place.filename).name}:{place.name}: {str(error)[:100]}",
        )
    _doors.on = False
    with os.fdopen(writer, "wb") as stream:
        stream.write(json.dumps({"kind": kind, "said": said[:300], "doors": _doors.seen[:5]}).encode())
    os._exit(0)
