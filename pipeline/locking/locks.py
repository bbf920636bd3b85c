"""One process writes a thing at a time; a second one waits for it, and says for whom.

A lock is an flock on a small file, held for the whole run of a command. It goes with its process, also when that is killed: there is
nothing to clear by hand. The file stays, and says who has the lock (pid, host, command, start); that counts only while it is held.
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

# What a file system says that has no locks: some network mounts.
_WITHOUT_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
_NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS}
# Somebody who looks whether a lock is held holds it for an instant: that is nobody to wait for.
_TRIES, _PAUSE = 5, 0.05
_MAX_BYTES = 4096
_held: set[int] = set()


class HeldError(Exception):
    """Somebody else has the lock."""


@dataclass(frozen=True, order=True)
class Lock:
    """What a command takes. shared: many may have it at once, while nobody has it alone."""

    path: Path
    shared: bool = False


@dataclass(frozen=True)
class Holder:
    """Who has a lock. does: as in "which trains ..."; started: ISO 8601, with the zone. A pid of 0: not known."""

    pid: int = 0
    host: str = ""
    command: str = ""
    does: str = "does not say what it does"
    study: str = ""
    started: str = ""

    @classmethod
    def here(cls, command: str, does: str, study: str = "") -> Holder:
        """This process, from now on."""
        return cls(os.getpid(), socket.gethostname(), command, does, study, _now())

    @property
    def process(self) -> str:
        """The process, with its machine where that is another one."""
        if not self.pid:
            return "another process"
        return f"process {self.pid}" + ("" if self.host in ("", socket.gethostname()) else f" on {self.host}")

    @property
    def since(self) -> str:
        """When it began: the time, and the day where that is another one; empty where it is not known."""
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
    """Take locks one after the other, waiting where need be, and give them back at the end. Whoever takes several has to take them in
    the order that everybody does.

    Raises:
        OSError: if a lock's file cannot be made.
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
        lock: which. me: what the file says from now on. wait: for others, saying so once on standard error.

    Returns:
        What `release` wants; None where there is nothing to lock: on file systems without locks, which is said, and for a shared
        lock on one that nobody writes to.

    Raises:
        HeldError: if somebody else has it, and this process is not to wait. OSError: if the file cannot be made.
    """
    kind = fcntl.LOCK_SH if lock.shared else fcntl.LOCK_EX
    said = False
    while True:
        descriptor = _open(lock)
        if descriptor is None:
            return None
        try:
            if not _try(descriptor, kind, _TRIES if wait else 2):
                if not wait:
                    raise HeldError(str(lock.path))
                if not said:
                    print(f"waiting for {_in_the_way(lock.path)}", file=sys.stderr, flush=True)
                    said = True
                fcntl.flock(descriptor, kind)
            if _is_at(lock.path, descriptor):
                if not lock.shared:
                    _write(descriptor, me)
                _held.add(descriptor)
                return descriptor
            os.close(descriptor)  # the file was cleaned away meanwhile; another one may have come
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
    """Give a lock back."""
    _held.discard(descriptor)
    os.close(descriptor)


def holder(path: Path) -> Holder | None:
    """Who has a lock alone, or None. Looks only: others get the lock as if nobody had looked."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(descriptor)
    except OSError:
        return None  # no locks here, so nobody has one
    finally:
        os.close(descriptor)
    return None


def holders_below(folder: Path) -> list[Holder]:
    """Everybody who has a lock alone in folders called .locks below a folder, or in itself, each once."""
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
        with suppress(OSError):  # somebody else's file can be locked all the same
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


def _in_the_way(path: Path) -> Holder:
    """Who has the lock; where several share it, one of those who have a lock of the same thing."""
    for candidate in (path, *sorted(path.parent.glob("*.lock"))):
        found = holder(candidate)
        if found is not None:
            return found
    return Holder()


def _write(descriptor: int, me: Holder) -> None:
    content = json.dumps(asdict(me)).encode()
    with suppress(OSError):  # the lock is what counts
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, content, 0)


def _read(descriptor: int) -> Holder:
    """What the holder wrote. One who has just come has not written yet, and what is there is then of one who is gone."""
    for _ in range(_TRIES):
        with suppress(ValueError, TypeError, OSError):
            found = Holder(**json.loads(os.pread(descriptor, _MAX_BYTES, 0)))
            elsewhere = found.host != socket.gethostname()
            if isinstance(found.pid, int) and (elsewhere or is_alive(found.pid)):
                return found
        time.sleep(_PAUSE)
    return Holder()


def is_alive(pid: int) -> bool:
    """Whether a process of this machine runs."""
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
            f"{folder}: no locks on this file system ({error.strerror}); see yourself that no second run writes the same.",
            file=sys.stderr,
            flush=True,
        )


def _forget() -> None:
    """A forked process lets go of what its parent holds: a lock must not outlive its holder."""
    for descriptor in _held:
        with suppress(OSError):
            os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_forget)
