"""Finds the files of frames and masks in raw trees, and writes the messages about missing files."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable
from pathlib import Path

_JPEG = (".jpg", ".jpeg")
# Folders of VQLA annotations, which a tree of frames may contain.
VQLA_FOLDER = re.compile(r"EndoVis-\d+-VQ")


def frame_files(folder: Path, prefix: str = "") -> list[Path]:
    """Return the frames in a folder: every PNG, and every JPEG without a PNG of the same name. Hidden files are skipped.

    Args:
        folder: the folder, which may be absent.
        prefix: beginning of the file names.

    Returns:
        The files sorted by name.
    """
    file_of_stem: dict[str, Path] = {}
    for path in sorted(folder.glob(f"{prefix or '[!.]'}*.*"), key=lambda path: path.suffix.lower() in _JPEG):
        if path.suffix.lower() in (".png", *_JPEG):
            file_of_stem.setdefault(path.stem, path)
    return [file_of_stem[stem] for stem in sorted(file_of_stem)]


def mask_files(folder: Path) -> list[Path]:
    """Return the masks or labels in a folder. Only PNG files count, because JPEG changes the values. Hidden files are skipped."""
    return sorted(folder.glob("[!.]*.png"))


def jpeg_note(frames: Iterable[Path], root: Path) -> dict[str, str]:
    """Return a note on the frames that are stored as JPEG, for the dataset's card; empty if there are none."""
    stored = sorted(path for path in frames if path.suffix.lower() in _JPEG)
    if not stored:
        return {}
    first = stored[0].relative_to(root).as_posix()
    return {"jpeg_frames": f"{len(stored)} frames are stored as JPEG, e.g. {first}; the original download holds PNG"}


def missing_file(path: Path, what: str, remedy: str = "Put it there.") -> str:
    """Return the message that a file is missing. If the file exists in another format, the message names it.

    Args:
        path: the missing file.
        what: the expected content, e.g. "the mask of images/a.png".
        remedy: what to do if there is no file in another format.
    """
    others = sorted(file for file in path.parent.glob(f"{glob.escape(path.stem)}.*") if file.is_file())
    if others:
        remedy = f"There is {others[0].name} instead: save it as {path.name}."
    return f"{path}: missing. Expected {what}. {remedy}"
