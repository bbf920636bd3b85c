"""File locks: one process writes at a time; a second one prints who holds the lock, and waits.

A lock is an flock on a small file, held for the whole run of a command. It ends with its process, even if that is killed, so nothing has
to be cleared by hand. The file stays. It names the holder (pid, host, command, start), which is valid only while the lock is held.
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
# A process that checks whether a lock is held holds it for an instant, so taking it is tried several times.
_TRIES, _PAUSE = 5, 0.05
_MAX_BYTES = 4096
_held: set[int] = set()


class HeldError(Exception):
    """Another process holds the lock."""


@dataclass(frozen=True, order=True)
class Lock:
    """A lock that a command takes; many processes may hold a shared lock while none holds it exclusively."""

    path: Path
    shared: bool = False


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock. does: as in "which trains ..."; started: ISO 8601 with time zone; a pid of 0 means unknown."""

    pid: int = 0
    host: str = ""
    command: str = ""
    does: str = "does something unknown"
    study: str = ""
    started: str = ""

    @classmethod
    def here(cls, command: str, does: str, study: str = "") -> Holder:
        """Return this process as a holder from now on."""
        return cls(os.getpid(), socket.gethostname(), command, does, study, _now())

    @property
    def process(self) -> str:
        """The process, with its machine if that is another one."""
        if not self.pid:
            return "another process"
        return f"process {self.pid}" + ("" if self.host in ("", socket.gethostname()) else f" on {self.host}")

    @property
    def since(self) -> str:
        """The time when it began, with the date if that is not today; empty if unknown."""
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
    """Hold locks in the block, waiting for each if needed. All processes must take them in the same order.

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
        wait: whether to wait for other processes; that is printed once on standard error.

    Returns:
        The descriptor that `release` takes. None if nothing can be locked: on file systems without locks, which is printed, and for a
        shared lock on a file system that is read-only.

    Raises:
        HeldError: if another process holds the lock, and `wait` is false.
        OSError: if the lock file cannot be created.
    """
    kind = fcntl.LOCK_SH if lock.shared else fcntl.LOCK_EX
    waited = False
    while True:
        descriptor = _open(lock)
        if descriptor is None:
            return None
        try:
            if not _try(descriptor, kind, _TRIES if wait else 2):
                if not wait:
                    raise HeldError(str(lock.path))
                if not waited:
                    print(f"waiting for {_holder_or_sharer(lock.path)}", file=sys.stderr, flush=True)
                    waited = True
                fcntl.flock(descriptor, kind)
            if _is_at(lock.path, descriptor):
                if not lock.shared:
                    _write(descriptor, me)
                _held.add(descriptor)
                return descriptor
            os.close(descriptor)  # the file was deleted meanwhile; there may be a new one
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
    _held.discard(descriptor)
    os.close(descriptor)


def holder(path: Path) -> Holder | None:
    """Return the process that holds a lock exclusively, or None. Other processes are not disturbed."""
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
    found = (holder(path) for path in sorted(folder.rglob("*.lock")) if ".locks" in path.parts)
    return list(dict.fromkeys(one for one in found if one is not None))


def _open(lock: Lock) -> int | None:
    flags = os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        lock.path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(lock.path, flags | os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        if error.errno not in _NOT_WRITABLE:
            raise
        with suppress(OSError):  # a file of another user can be locked too
            return os.open(lock.path, flags | os.O_RDONLY)
        if lock.shared:
            return None
        raise


def _try(descriptor: int, kind: int, tries: int) -> bool:
    for left in reversed(range(tries)):
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if left:
                time.sleep(_PAUSE)
    return False


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _holder_or_sharer(path: Path) -> Holder:
    """Return the holder of a lock; if several share it, a holder of a lock in the same folder."""
    for candidate in (path, *sorted(path.parent.glob("*.lock"))):
        found = holder(candidate)
        if found is not None:
            return found
    return Holder()


def _write(descriptor: int, me: Holder) -> None:
    content = json.dumps(asdict(me)).encode()
    with suppress(OSError):  # the lock itself matters, not its text
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, content, 0)


def _read(descriptor: int) -> Holder:
    """Return the holder that the file names. A new holder may not have written yet; then the file names a process that has ended."""
    for _ in range(_TRIES):
        with suppress(ValueError, TypeError, OSError):
            found = Holder(**json.loads(os.pread(descriptor, _MAX_BYTES, 0)))
            elsewhere = found.host != socket.gethostname()
            if isinstance(found.pid, int) and (elsewhere or is_alive(found.pid)):
                return found
        time.sleep(_PAUSE)
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
            f"{folder}: no locks on this file system ({error.strerror}); make sure that no second run writes the same files.",
            file=sys.stderr,
            flush=True,
        )


def _forget() -> None:
    """Close the locks of the parent in a forked process, because a lock must not outlive its holder."""
    for descriptor in _held:
        with suppress(OSError):
            os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_forget)
