"""Walk through raw trees as users downloaded and unpacked them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from corruptions.command.files import walk
from pipeline.errors import InputError


def find_holder(root: Path, names: Sequence[str]) -> Path:
    """Return the one folder at or below `root` that holds entries of these names, because downloads add outer folders; else `root`.

    Raises:
        InputError: if several do.
    """
    holders: list[Path] = []
    for folder, folders, files in walk(root):
        if any(name in folders or name in files for name in names):
            holders.append(folder)
            folders.clear()
    if len(holders) > 1:
        raise InputError(
            f"{root}: {' or '.join(names)} in {len(holders)} folders, {holders[0]} and {holders[1]}. Expected one."
        )
    return holders[0] if holders else root
