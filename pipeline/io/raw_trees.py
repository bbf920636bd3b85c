"""Walk through raw trees as users downloaded and unpacked them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from corruptions.command.files import walk
from pipeline.errors import InputError


def find_holder(root: Path, names: Sequence[str]) -> Path:
    """Return the folder at or below `root` that holds an entry of one of these names; `root` if none does. Downloads add outer folders.

    Raises:
        InputError: if several folders do.
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
