"""Replaces a generated folder by a .zip, because real downloads come as .zip files."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path


def zip_away(folder: Path) -> Path:
    """Replace a folder by a .zip that contains it, and return the .zip. The same files give the same bytes."""
    archive = folder.with_name(f"{folder.name}.zip")
    with zipfile.ZipFile(archive, "w") as packed:  # images are compressed already
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            info = zipfile.ZipInfo(path.relative_to(folder.parent).as_posix(), (2018, 9, 16, 0, 0, 0))
            info.external_attr = 0o644 << 16
            packed.writestr(info, path.read_bytes())
    shutil.rmtree(folder)
    return archive
