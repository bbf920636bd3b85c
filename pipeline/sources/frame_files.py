"""Files of frames and of their masks in raw trees: which pictures count, and what is said of those that are not there."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable
from pathlib import Path

_JPEG = (".jpg", ".jpeg")
# Folders of VQLA annotations, which may lie in a tree of frames.
VQLA_FOLDER = re.compile(r"EndoVis-\d+-VQ")


def frame_files(folder: Path, prefix: str = "") -> list[Path]:
    """Return the frames in a folder: every PNG, and every JPEG that has no PNG of the same name beside it.

    Args:
        folder: may be absent; hidden files are passed over. prefix: how their names begin.

    Returns:
        The files in the order of their names.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.glob(f"{prefix or '[!.]'}*.*"), key=lambda path: path.suffix.lower() in _JPEG):
        if path.suffix.lower() in (".png", *_JPEG):
            found.setdefault(path.stem, path)
    return [found[stem] for stem in sorted(found)]


def mask_files(folder: Path) -> list[Path]:
    """Return the masks or labels in a folder, which are PNG: JPEG changes the values. Hidden files are passed over."""
    return sorted(folder.glob("[!.]*.png"))


def jpeg_note(frames: Iterable[Path], root: Path) -> dict[str, str]:
    """Return a note on the frames that are stored as JPEG, for the dataset's card; empty where none is."""
    stored = sorted(path for path in frames if path.suffix.lower() in _JPEG)
    if not stored:
        return {}
    first = stored[0].relative_to(root).as_posix()
    return {"jpeg_frames": f"{len(stored)} frames are stored as JPEG, e.g. {first}; the original download holds PNG"}


def missing_file(path: Path, what: str, remedy: str = "Put it there.") -> str:
    """Return the message that a file is missing, which names a file of the same name in another format if there is one.

    Args:
        path: the file. what: what it would be, e.g. "the mask of images/a.png". remedy: what to do where no such file is.
    """
    others = sorted(one for one in path.parent.glob(f"{glob.escape(path.stem)}.*") if one.is_file())
    if others:
        remedy = f"There is {others[0].name} instead: save it as {path.name}."
    return f"{path}: missing. Expected {what}. {remedy}"
