"""Walks through raw trees and lists them, as people downloaded and unpacked them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from corruptions.command.files import walk
from pipeline.errors import InputError
from pipeline.io.hashing import digest


def find_holder(root: Path, names: Sequence[str]) -> Path:
    """The one folder, `root` or below, that holds something of these names: downloads come in wrappers. `root` if none does.

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


def sha256_of_listing(root: Path) -> str:
    """Hex SHA-256 of the names, sizes and times of all files below a folder, or of one file: quick, and other when files
    come, go or change.

    What an archive was extracted to is left out, for it says nothing that the archive does not.
    """
    listed = [_stamp(root, root)]
    for name, folders, files in walk(root):
        archives = {Path(file).stem for file in files if file.lower().endswith(".zip")}
        folders[:] = [inner for inner in folders if inner not in archives]
        listed += [_stamp(name / file, root) for file in files if not file.startswith(".")]
    return digest(listed)


def _stamp(path: Path, root: Path) -> list[str | int]:
    try:
        stat = path.stat() if path.exists() else path.lstat()
    except OSError:
        return [str(path), "missing"]
    about = [] if path.is_dir() else [stat.st_size, int(stat.st_mtime)]
    return [os.path.relpath(path, root), *about]
