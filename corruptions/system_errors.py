"""What the system refuses, in words: the file, the reason and what to do. Only errors of file systems speak of disks."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

SHARED_MEMORY = "/dev/shm"
READER_GONE = 141
"""What a shell says of a command whose output nobody reads any more, as in `list | head`."""

_OUTPUT = "standard output"
_UNNAMED = "standard output, or a file that a library wrote without its name"
_AGAIN = "Make room, and run the same command again."
_PERMISSION = (
    "this user has no permission for it",
    "See owner and permissions of it and of the folders above (ls -ld).",
)
_GONE = ("the file system that it lies on does not answer", "See that it is mounted, and run the same command again.")
_OPEN = ("too many files are open", "Raise the limit (ulimit -n 4096), or let fewer processes work (--workers).")
# The reason and the remedy by the number that the system gives. What is not among them is told in the system's own words.
_KNOWN = {
    errno.ENOSPC: ("the disk that it lies on is full", _AGAIN),
    errno.EDQUOT: ("this user's share of the disk that it lies on is used up", _AGAIN),
    errno.EROFS: ("it lies on a disk that can only be read", "Mount it for writing, or choose a folder elsewhere."),
    errno.EACCES: _PERMISSION,
    errno.EPERM: _PERMISSION,
    errno.EIO: ("the disk fails", "See the system's log (dmesg), and save what is there before anything else."),
    errno.EFBIG: (
        "larger than a file may be here",
        "See the limit of this shell (ulimit -f) and that of the file system.",
    ),
    errno.ENAMETOOLONG: ("a name longer than the file system takes", "Choose shorter names."),
    errno.EMFILE: _OPEN,
    errno.ENFILE: _OPEN,
    errno.ENOENT: ("missing", ""),
    errno.ENOTDIR: ("a part of this path is a file", "Expected a folder there."),
    errno.EISDIR: ("a folder", "Expected a file."),
    errno.EEXIST: ("there already, and of another kind than expected", "Move it away, or choose another name."),
    errno.ENOTEMPTY: ("not empty", "Is another process writing there? Wait for it, and run the same command again."),
    errno.EBUSY: ("in use", "See which process uses it, and run the same command again."),
    errno.ELOOP: ("links lead to it in a circle", "See where they lead (ls -l)."),
    errno.ESTALE: _GONE,
    errno.ENODEV: _GONE,
    errno.ENXIO: _GONE,
    errno.ENOTCONN: _GONE,
    errno.ETIMEDOUT: _GONE,
}
# These are said of a file by what writes to it, without its name.
_OF_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG, errno.ESTALE, errno.ENODEV)
_NO_FILES_LEFT = (
    "the disk that it lies on has no room for more files, whatever their size (df -i)",
    "Delete files that nobody needs, and run the same command again.",
)
_SHARED_MEMORY = (
    "processes cannot share memory there",
    f"Give it room (mount -o remount,size=1G {SHARED_MEMORY}; for a container, docker run --shm-size=1g), or work without "
    "further processes (--workers 1).",
)


def explained(error: OSError, missing: str = "") -> str:
    """One or two sentences: which file, why not, what to do.

    Args:
        error: of the system. missing: what to do about a file that is not there.
    """
    place, number = _place(error), error.errno
    words = error.strerror or str(error) or type(error).__name__
    if number not in _KNOWN:
        return f"{place}: {words}." if place else f"{words.rstrip('.')}."
    usual = os.strerror(number)
    if not place:
        # Whoever raised it with words of their own says more than its number does.
        if words != usual:
            return f"{words.rstrip('.')}."
        place = _UNNAMED
    reason, remedy = _KNOWN[number]
    if place == SHARED_MEMORY:
        reason, remedy = _SHARED_MEMORY
    elif number == errno.ENOSPC and _has_bytes_left(Path(place)):
        reason, remedy = _NO_FILES_LEFT
    elif number == errno.ENOENT:
        return f"{place}: missing. {missing}".rstrip()
    return f"{place}: {reason} ({usual}). {remedy}"


def reader_is_gone(error: OSError) -> bool:
    """Whether nobody reads standard output any more; then nothing is written to it, and nothing needs to be said."""
    if isinstance(error, BrokenPipeError):
        _drop_output()
        return True
    return False


@contextmanager
def named(path: Path, unfinished: Path | None = None) -> Iterator[None]:
    """Let what cannot be written in the block be named, for write() itself, and with it most libraries, names nothing.

    Args:
        path: what the block writes. unfinished: the name that it has meanwhile; errors get the one that it is to have.

    Raises:
        OSError: that of the block, with a name.
    """
    try:
        yield
    except OSError as error:
        given: Any = error.filename
        if given is None and error.errno in _OF_WRITING:
            error.filename = str(path)
        elif (
            unfinished is not None and isinstance(given, (str, os.PathLike)) and Path(given).is_relative_to(unfinished)
        ):
            error.filename, error.filename2 = str(path / Path(given).relative_to(unfinished)), None
        raise


@contextmanager
def shared_memory_named() -> Iterator[None]:
    """Let errors of locks and queues between processes, which lie in shared memory and name nothing, name that.

    Raises:
        OSError: that of the block, with a name.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno in (*_OF_WRITING, errno.EACCES, errno.EPERM, errno.ENOENT):
            error.filename = SHARED_MEMORY
        raise


def _place(error: OSError) -> str:
    """What an error names; standard output where that is what cannot be written."""
    if error.filename is not None:
        return os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else str(error.filename)
    return _OUTPUT if error.errno in _OF_WRITING and _output_is_refused() else ""


def _output_is_refused() -> bool:
    """Whether standard output takes nothing any more; asked by an empty line, for an error of print() does not say."""
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError, AttributeError):  # closed, or none
        return False
    try:
        os.write(descriptor, b"\n")
    except OSError:
        _drop_output()
        return True
    return False


def _drop_output() -> None:
    """Write no more to standard output: Python would try once more at its end, and show how that fails."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _has_bytes_left(path: Path) -> bool:
    """Whether the disk of a path, there or not yet, has room but no entries left for further files."""
    with suppress(OSError):
        there = next(each for each in (path, *path.absolute().parents) if each.exists())
        about = os.statvfs(there)
        return about.f_files > 0 and about.f_favail == 0 and about.f_bavail > 0
    return False
