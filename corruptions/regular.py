"""Opens files that somebody gave: a pipe, device, socket or folder of their name is told at once and never waited for."""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file to read its bytes. Links are followed.

    The kind is checked on what was opened, so nothing that takes the file's place meanwhile is read in its stead.

    Raises:
        OSError: if it cannot be opened, or is no regular file; `strerror` says what it is.
    """
    return open(path, "rb", opener=_descriptor)  # Path.open takes no opener


def check_regular(path: Path) -> None:
    """Raise OSError as `open_regular` does; for libraries that take a path and open it themselves."""
    open_regular(path).close()


def _descriptor(path: str, _: int) -> int:
    # Without O_NONBLOCK a pipe is waited for until somebody writes to it; a terminal must not become the process's own.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.EOPNOTSUPP):  # what opening a socket gives
            raise _other_kind(path, os.stat(path).st_mode) from None  # noqa: PTH116
        raise
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise _other_kind(path, mode)
    return descriptor


def _other_kind(path: str, mode: int) -> OSError:
    kind = _KINDS.get(stat.S_IFMT(mode), "no regular file")
    number = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
    return OSError(number, f"{kind}; expected a regular file", path)
