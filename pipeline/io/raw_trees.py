"""Walk through raw trees as users downloaded and unpacked them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from corruptions.command.files import walk
from pipeline.errors import InputError


def find_holder(root: Path, names: Sequence[str]) -> Path:
    """Return the folder at or below `root` that holds an entry with one of the names, or `root` if no folder does.

    Downloads may put the data into further folders.

    Raises:
        InputError: if several folders hold such an entry.
    """
    holders: list[Path] = []
    for folder, folders, files in walk(root):
        if any(name in folders or name in files for name in names):
            holders.append(folder)
            folders.clear()
    if len(holders) > 1:
        raise InputError(
            f"{root}: {' or '.join(names)} in {len(holders)} folders, e.g. {holders[0]} and {holders[1]}. Expected one; remove the others."
        )
    return holders[0] if holders else root
