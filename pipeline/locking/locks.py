"""Take and release file locks, so that one process writes at a time. A second process prints who holds the lock, and waits.

A command holds a lock (an flock on a small file) for its whole run. A lock ends with its process, even a killed one, so nobody has to clear
it by hand. The file stays. The holder that it names (pid, host, command, start) is valid only while the lock is held.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

# Errors of file systems without locks, such as some network mounts.
_WITHOUT_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
_NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS}
# `holder` takes a lock for an instant to learn whether it is held, so a process that wants the lock tries several times.
_TRIES, _PAUSE_SECONDS = 5, 0.05
_MAX_BYTES = 4096
_held_descriptors: set[int] = set()


class HeldError(Exception):
    """Another process holds the lock."""


@dataclass(frozen=True, order=True)
class Lock:
    """A lock that a command takes; many processes may hold a shared lock while none holds it exclusively."""

    path: Path
    shared: bool = False


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock.

    Attributes:
        pid: its process id; 0 if unknown.
        host: its machine.
        command: the name of the command.
        does: what it does, for the sentence "process 12, which trains ...".
        study: the name of the study; may be empty.
        started: time in ISO 8601 with time zone.
    """

    pid: int = 0
    host: str = ""
    command: str = ""
    does: str = "does something unknown"
    study: str = ""
    started: str = ""

    @classmethod
    def here(cls, command: str, does: str, study: str = "") -> Holder:
        """Return this process as a holder that starts now."""
        return cls(os.getpid(), socket.gethostname(), command, does, study, _now())

    @property
    def process(self) -> str:
        """The process in words, with the name of its machine if that is not this machine."""
        if not self.pid:
            return "another process"
        return f"process {self.pid}" + ("" if self.host in ("", socket.gethostname()) else f" on {self.host}")

    @property
    def since(self) -> str:
        """The local time when the process started, with the date if that is not today; empty if unknown."""
        try:
            began = datetime.fromisoformat(self.started).astimezone()
        except ValueError:
            return ""
        today = began.date() == datetime.now().astimezone().date()
        return began.strftime("%H:%M" if today else "%Y-%m-%d %H:%M")

    def __str__(self) -> str:
        since = f" (since {self.since})" if self.since else ""
        return f"{self.process}, which {self.does}{since}"


@contextmanager
def held(locks: Sequence[Lock], me: Holder) -> Iterator[None]:
    """Hold locks in the block, and wait for each if needed. All processes must take locks in the same order, or they may wait forever.

    Raises:
        OSError: if a lock file cannot be created.
    """
    with ExitStack() as stack:
        for lock in locks:
            descriptor = take(lock, me)
            if descriptor is not None:
                stack.callback(release, descriptor)
        yield


def take(lock: Lock, me: Holder, wait: bool = True) -> int | None:
    """Take a lock.

    Args:
        lock: the lock.
        me: this process, as the lock file names it.
        wait: whether to wait for other processes. A wait is printed once on standard error.

    Returns:
        The descriptor for `release`. None if nothing can be locked: on a file system without locks (a warning is printed), and for a
        shared lock whose file this process may neither create nor read.

    Raises:
        HeldError: if another process holds the lock, and `wait` is false.
        OSError: if the lock file cannot be created or opened.
    """
    kind = fcntl.LOCK_SH if lock.shared else fcntl.LOCK_EX
    waited = False
    while True:
        descriptor = _open(lock)
        if descriptor is None:
            return None
        try:
            if not _try_flock(descriptor, kind, _TRIES if wait else 2):
                if not wait:
                    raise HeldError(str(lock.path))
                if not waited:
                    print(f"waiting for {_holder_or_sharer(lock.path)}", file=sys.stderr, flush=True)
                    waited = True
                fcntl.flock(descriptor, kind)
            if _is_at(lock.path, descriptor):
                if not lock.shared:
                    _write(descriptor, me)
                _held_descriptors.add(descriptor)
                return descriptor
            os.close(descriptor)  # the lock file was deleted or replaced meanwhile, so open the present one
        except OSError as error:
            os.close(descriptor)
            if error.errno not in _WITHOUT_LOCKS:
                raise
            _warn_once(lock.path.parent, error)
            return None
        except BaseException:
            os.close(descriptor)
            raise


def release(descriptor: int) -> None:
    """Release a lock."""
    _held_descriptors.discard(descriptor)
    os.close(descriptor)


def holder(path: Path) -> Holder | None:
    """Return the process that holds a lock exclusively, or None. Does not wait."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(descriptor)
    except OSError:
        return None  # this file system has no locks
    finally:
        os.close(descriptor)
    return None


def holders_below(folder: Path) -> list[Holder]:
    """Return the processes that hold exclusive locks in folders called .locks at or below a folder, each once."""
    holders = (holder(path) for path in sorted(folder.rglob("*.lock")) if ".locks" in path.parts)
    return list(dict.fromkeys(process for process in holders if process is not None))


def _open(lock: Lock) -> int | None:
    flags = os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        lock.path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(lock.path, flags | os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        if error.errno not in _NOT_WRITABLE:
            raise
        with suppress(OSError):  # a file that can only be read can be locked too
            return os.open(lock.path, flags | os.O_RDONLY)
        if lock.shared:
            return None
        raise


def _try_flock(descriptor: int, kind: int, tries: int) -> bool:
    for left in reversed(range(tries)):
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if left:
                time.sleep(_PAUSE_SECONDS)
    return False


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _holder_or_sharer(path: Path) -> Holder:
    """Return the holder of a lock. Shared locks name no holder; then return a process that holds another lock in the same folder."""
    for candidate in (path, *sorted(path.parent.glob("*.lock"))):
        process = holder(candidate)
        if process is not None:
            return process
    return Holder()


def _write(descriptor: int, me: Holder) -> None:
    content = json.dumps(asdict(me)).encode()
    with suppress(OSError):  # the lock works without this text too
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, content, 0)


def _read(descriptor: int) -> Holder:
    """Return the holder that the file names, or an unknown one if that process has ended: a new holder may not have written yet."""
    for _ in range(_TRIES):
        with suppress(ValueError, TypeError, OSError):
            process = Holder(**json.loads(os.pread(descriptor, _MAX_BYTES, 0)))
            on_other_machine = process.host != socket.gethostname()
            if isinstance(process.pid, int) and (on_other_machine or is_alive(process.pid)):
                return process
        time.sleep(_PAUSE_SECONDS)
    return Holder()


def is_alive(pid: int) -> bool:
    """Return whether a process of this machine runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")


_warned = False


def _warn_once(folder: Path, error: OSError) -> None:
    global _warned
    if not _warned:
        _warned = True
        print(
            f"{folder}: this file system has no locks ({error.strerror}). Make sure that no second run writes the same files.",
            file=sys.stderr,
            flush=True,
        )


def _close_inherited() -> None:
    """Close the parent's lock files in a forked process: an open copy would keep a lock after its holder has ended."""
    for descriptor in _held_descriptors:
        with suppress(OSError):
            os.close(descriptor)
    _held_descriptors.clear()


os.register_at_fork(after_in_child=_close_inherited)
