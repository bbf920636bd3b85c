"""Compute SHA-256 digests of files, folders and JSON-like content."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from corruptions.regular import open_regular


def sha256_of(path: Path) -> str:
    """Return the hex SHA-256 of a file's bytes."""
    with open_regular(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_of_tree(folder: Path) -> str:
    """Return the hex SHA-256 of the names and bytes of all files below a folder."""
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        total.update(f"{path.relative_to(folder).as_posix()}\0{sha256_of(path)}\n".encode())
    return total.hexdigest()


def digest(content: Any) -> str:
    """Return the hex SHA-256 of JSON-like content, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
