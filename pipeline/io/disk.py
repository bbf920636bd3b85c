"""Return the content and size of folders. Links are not followed."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def bytes_below(folder: Path, suffix: str = "") -> tuple[int, int]:
    """Return the bytes of the files below a folder: of files with the suffix, and of all others. Files deleted meanwhile count as 0."""
    with_suffix = others = 0
    waiting = [folder]
    while waiting:
        for entry in entries_of(waiting.pop()):
            with suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
                elif suffix and entry.name.endswith(suffix):
                    with_suffix += entry.stat(follow_symlinks=False).st_size
                else:
                    others += entry.stat(follow_symlinks=False).st_size
    return with_suffix, others


def entries_of(folder: Path) -> list[os.DirEntry[str]]:
    """Return the content of a folder sorted by name; empty if it does not exist or cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []


def size(count: float) -> str:
    """Return a number of bytes as text."""
    units = ("B", "kB", "MB", "GB", "TB")
    index = 0
    while count >= 1000 and index < len(units) - 1:
        count, index = count / 1000, index + 1
    return f"{count:.0f} {units[index]}" if index < 2 else f"{count:.1f} {units[index]}"
