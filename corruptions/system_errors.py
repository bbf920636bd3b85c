"""Explains errors of the operating system in words: the file, the reason and what to do."""

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
"""Exit status of a command whose output is no longer read, as in `list | head`."""

_STANDARD_OUTPUT = "standard output"
_UNKNOWN_FILE = "standard output, or a file that a library wrote without its name"
_FREE_SPACE = "Free some space, and run the same command again."
_PERMISSION = (
    "this user has no permission for it",
    "Check the owner and the permissions of it and of the folders above it (ls -ld).",
)
_NOT_RESPONDING = ("its file system does not respond", "Check that it is mounted, and run the same command again.")
_TOO_MANY_OPEN = ("too many files are open", "Raise the limit (ulimit -n 4096), or use fewer processes (--workers).")
# Reason and remedy by the system's error number. For other numbers, messages have the system's own text.
_REASONS_AND_REMEDIES = {
    errno.ENOSPC: ("its disk is full", _FREE_SPACE),
    errno.EDQUOT: ("this user's quota on its disk is used up", _FREE_SPACE),
    errno.EROFS: ("its disk is mounted read-only", "Mount it for writing, or choose another folder."),
    errno.EACCES: _PERMISSION,
    errno.EPERM: _PERMISSION,
    errno.EIO: ("the disk reports an error", "Read the system's log (dmesg), and save the data on the disk first."),
    errno.EFBIG: (
        "the file is larger than allowed",
        "Check the limit of this shell (ulimit -f) and that of the file system.",
    ),
    errno.ENAMETOOLONG: ("the name is too long for the file system", "Choose shorter names."),
    errno.EMFILE: _TOO_MANY_OPEN,
    errno.ENFILE: _TOO_MANY_OPEN,
    errno.ENOENT: ("missing", ""),
    errno.ENOTDIR: ("a part of this path is a file", "Expected a folder."),
    errno.EISDIR: ("a folder", "Expected a file."),
    errno.EEXIST: ("exists already and is of another kind than expected", "Move it away, or choose another name."),
    errno.ENOTEMPTY: ("not empty", "If another process is writing there, wait for it and run the same command again."),
    errno.EBUSY: ("in use", "Find the process that uses it, and run the same command again."),
    errno.ELOOP: ("its symbolic links form a loop", "Check where they lead (ls -l)."),
    errno.ESTALE: _NOT_RESPONDING,
    errno.ENODEV: _NOT_RESPONDING,
    errno.ENXIO: _NOT_RESPONDING,
    errno.ENOTCONN: _NOT_RESPONDING,
    errno.ETIMEDOUT: _NOT_RESPONDING,
}
# Errors that write() raises without the name of the file.
_WRITE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG, errno.ESTALE, errno.ENODEV)
_NO_FILES_LEFT = (
    "its disk cannot hold more files, whatever their size (df -i)",
    "Delete files that are not needed, and run the same command again.",
)
_SHARED_MEMORY = (
    "processes cannot allocate shared memory there",
    f"Enlarge it (mount -o remount,size=1G {SHARED_MEMORY}; for a container, docker run --shm-size=1g), or use one process "
    "(--workers 1).",
)


def explained(error: OSError, missing: str = "") -> str:
    """Return one or two sentences: which file, what is wrong with it, and what to do.

    Args:
        error: an error of the system.
        missing: what to do if the file does not exist.
    """
    file, number = _file_of(error), error.errno
    words = error.strerror or str(error) or type(error).__name__
    if number not in _REASONS_AND_REMEDIES:
        return f"{file}: {words}." if file else f"{words.rstrip('.')}."
    usual = os.strerror(number)
    if not file:
        # A text other than the usual one says more than the error number.
        if words != usual:
            return f"{words.rstrip('.')}."
        file = _UNKNOWN_FILE
    reason, remedy = _REASONS_AND_REMEDIES[number]
    if file == SHARED_MEMORY:
        reason, remedy = _SHARED_MEMORY
    elif number == errno.ENOSPC and _has_bytes_left(Path(file)):
        reason, remedy = _NO_FILES_LEFT
    elif number == errno.ENOENT:
        return f"{file}: missing. {missing}".rstrip()
    return f"{file}: {reason} ({usual}). {remedy}"


def reader_is_gone(error: OSError) -> bool:
    """Return whether an error means that standard output is no longer read. If so, further output is dropped, and no message is needed."""
    if isinstance(error, BrokenPipeError):
        _drop_output()
        return True
    return False


@contextmanager
def named(path: Path, unfinished: Path | None = None) -> Iterator[None]:
    """Add the file's name to errors of the block that lack it, because errors of write() do not name the file.

    Args:
        path: the file that the block writes.
        unfinished: the temporary name of the file while it is written; errors get the final name instead.

    Raises:
        OSError: the error of the block, with a name.
    """
    try:
        yield
    except OSError as error:
        given: Any = error.filename
        if given is None and error.errno in _WRITE_ERRORS:
            error.filename = str(path)
        elif (
            unfinished is not None and isinstance(given, (str, os.PathLike)) and Path(given).is_relative_to(unfinished)
        ):
            error.filename, error.filename2 = str(path / Path(given).relative_to(unfinished)), None
        raise


@contextmanager
def shared_memory_named() -> Iterator[None]:
    """Add the folder of shared memory to errors of locks and queues between processes, which are stored there and name no file.

    Raises:
        OSError: the error of the block, with a name.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno in (*_WRITE_ERRORS, errno.EACCES, errno.EPERM, errno.ENOENT):
            error.filename = SHARED_MEMORY
        raise


def _file_of(error: OSError) -> str:
    """Return the file that an error names, or "standard output" if that cannot be written; otherwise an empty string."""
    if error.filename is not None:
        return os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else str(error.filename)
    return _STANDARD_OUTPUT if error.errno in _WRITE_ERRORS and _output_is_refused() else ""


def _output_is_refused() -> bool:
    """Return whether standard output can no longer be written. An empty line tests it, because errors of print() name no file."""
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError, AttributeError):  # closed, or absent
        return False
    try:
        os.write(descriptor, b"\n")
    except OSError:
        _drop_output()
        return True
    return False


def _drop_output() -> None:
    """Redirect standard output to the null device; otherwise Python would write to it once more on exit and print a traceback."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _has_bytes_left(path: Path) -> bool:
    """Return whether the disk of a path, which need not exist yet, has free space but no free inodes."""
    with suppress(OSError):
        existing = next(parent for parent in (path, *path.absolute().parents) if parent.exists())
        usage = os.statvfs(existing)
        return usage.f_files > 0 and usage.f_favail == 0 and usage.f_bavail > 0
    return False
