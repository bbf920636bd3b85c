"""Store SHA-256 digests of files, so that a file is read again only if its size, time of modification or inode has changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path

from corruptions.command.files import walk
from pipeline.io.hashing import digest, sha256_of

MEMORY = Path(".decides/digests.sqlite")
"""The file of stored digests in the working directory. Without it, a plan compares only the sizes of results (`Result.changed_files`)."""

_Stamp = tuple[int, int, int]
_TABLE = "CREATE TABLE IF NOT EXISTS digests (path TEXT PRIMARY KEY, size INT, time INT, inode INT, sha256 TEXT)"


class KnownDigests:
    """Returns digests of files: stored digests of unchanged files, and computed digests of others.

    A plan needs digests of thousands of files, so all stored digests are read at once. `save` stores new ones. If `MEMORY` cannot be
    read, every digest is computed.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[_Stamp, str]] = {}
        self._new: dict[str, tuple[_Stamp, str]] = {}
        with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{MEMORY}?mode=ro", uri=True)) as memory:
            for path, size, time, inode, sha256 in memory.execute("SELECT * FROM digests"):
                self._known[path] = (size, time, inode), sha256

    def of_file(self, path: Path) -> str:
        """Return the hex SHA-256 of a file's bytes.

        Raises:
            OSError: if the file cannot be read.
        """
        stamp, sha256 = self._known.get(str(path), (None, ""))
        return sha256 if stamp == _stamp(path) else self._computed(path)

    def remembers(self, path: Path) -> bool:
        """Return whether a digest of a file is known. The file may have changed since the digest was computed."""
        return str(path) in self._known

    def remembers_below(self, folder: Path) -> bool:
        """Return whether a digest of any file below a folder is known."""
        return any(path.startswith(f"{folder}/") for path in self._known)

    def of_folder(self, folder: Path) -> str:
        """Return one hex SHA-256 for the names and bytes of all files that `files_below` yields.

        If a file cannot be read, only its name counts; the step that reads the file reports the error.
        """
        digests = []
        for path in files_below(folder):
            try:
                sha256 = self.of_file(path)
            except OSError:
                sha256 = ""
            digests.append((path.relative_to(folder).as_posix(), sha256))
        return digest(sorted(digests))

    def save(self) -> None:
        """Save the computed digests for later processes."""
        if not self._new:
            return
        rows = [(path, *stamp, sha256) for path, (stamp, sha256) in self._new.items()]
        with suppress(sqlite3.Error, OSError):
            MEMORY.parent.mkdir(exist_ok=True)
            with closing(sqlite3.connect(MEMORY, timeout=30)) as memory, memory:
                memory.execute(_TABLE)
                memory.executemany("INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?, ?)", rows)
        self._new.clear()

    def _computed(self, path: Path) -> str:
        stamp, sha256 = _stamp(path), sha256_of(path)
        if stamp == _stamp(path):  # the file was not written meanwhile
            self._known[str(path)] = self._new[str(path)] = stamp, sha256
        return sha256


def files_below(folder: Path) -> Iterator[Path]:
    """Yield all files below a folder, or the path itself if it is a file.

    Hidden files, hidden folders and `__MACOSX` are left out. A folder with the name of a .zip file next to it is left out too: it was
    extracted from the archive, and the archive counts.
    """
    if folder.is_file():
        yield folder
        return
    for inner, folders, names in walk(folder):
        archives = {Path(name).stem for name in names if name.lower().endswith(".zip")}
        folders[:] = [name for name in folders if name not in archives]
        yield from (inner / name for name in names if not name.startswith("."))


def sizes_of(paths: Iterable[Path]) -> list[int | None]:
    """Return the size of each file in bytes, or None for a file that is missing or cannot be reached."""
    sizes: list[int | None] = []
    for path in paths:
        try:
            sizes.append(path.stat().st_size)
        except OSError:
            sizes.append(None)
    return sizes


def _stamp(path: Path) -> _Stamp:
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ino
