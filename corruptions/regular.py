"""Opens files whose paths a user gave; a pipe, device, socket or folder raises an error at once instead of blocking."""

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

    The kind is checked on the opened file, so it does not matter if another file takes its place in the meantime.

    Raises:
        OSError: if the file cannot be opened, or is not a regular file; `strerror` says what it is.
    """
    return open(path, "rb", opener=_descriptor)  # Path.open takes no opener


def check_regular(path: Path) -> None:
    """Raise OSError as `open_regular` does; for libraries that open a path themselves."""
    open_regular(path).close()


def _descriptor(path: str, _: int) -> int:
    """Open a path without blocking, and return its descriptor if it is a regular file."""
    # Without O_NONBLOCK, opening a pipe blocks until somebody writes to it. With O_NOCTTY, a terminal does not control this process.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.EOPNOTSUPP):  # the error of opening a socket
            raise _other_kind(path, os.stat(path).st_mode) from None  # noqa: PTH116
        raise
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise _other_kind(path, mode)
    return descriptor


def _other_kind(path: str, mode: int) -> OSError:
    """Return the error that says what kind of file a path is."""
    kind = _KINDS.get(stat.S_IFMT(mode), "not a regular file")
    number = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
    return OSError(number, f"{kind}; expected a regular file", path)
