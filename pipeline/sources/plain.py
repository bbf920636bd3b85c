"""Reader of a dataset of one's own: images/NAME.png (or .jpg), masks/NAME.png, and labels.csv.

labels.csv has a head. `name` is the file's name in images/; `activity`, `sequence` and `split` (train or test) are
optional columns, each for all frames or none. Commas, semicolons or tabs part the columns. Without activities the file may be
absent: every image with a mask is a frame then.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from corruptions.pictures import SUFFIXES
from pipeline.errors import InputError
from pipeline.io.files import read_text
from pipeline.io.raw_trees import find_holder
from pipeline.labels.splits import TEST, TRAIN

# Pictures: those that cannot be used are named.
_SUFFIXES = (*SUFFIXES, ".gif")
_COLUMNS = ("name", "activity", "sequence", "split")
# A name becomes a file's name in the dataset.
_SAFE_NAME = re.compile(r"[\w][\w .-]{0,120}\.(png|jpe?g)", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class FramePlain:
    """One row of labels.csv with its files; columns that are absent are empty."""

    name: str
    activity: str
    sequence: str
    split: str
    image: Path
    mask: Path


def read_tree(root: Path, activities: tuple[str, ...]) -> list[FramePlain]:
    """Find the frames and their files, without decoding a picture.

    Args:
        root: a folder with images/, masks/ and perhaps labels.csv in it, wrappers allowed. activities: those the study lists.

    Returns:
        The frames that labels.csv lists, or where there is none those of all images with a mask.

    Raises:
        InputError: naming file, line and column; or the folder, if it holds no frame.
    """
    root, path = _find_root(root)
    if path.is_file():
        return _listed_frames(root, path, activities)
    if activities:
        raise InputError(
            f"{path}: missing, and the study lists activities, which it tells of each frame. Expected images/, masks/ and labels.csv "
            f"in {root} (see docs/real-data.md)."
        )
    frames = [frame for frame in _frames_of_images(root) if frame.mask.is_file()]
    if not frames:
        raise InputError(
            f"{root}: no image in images/ has a mask in masks/, and there is no labels.csv. Expected images/NAME.png (or .jpg) and "
            "masks/NAME.png (see docs/real-data.md)."
        )
    return frames


def images_without_mask(root: Path) -> list[Path]:
    """Return the images that are no frames for want of a mask, of a tree without labels.csv.

    Args:
        root: as for `read_tree`.
    """
    root, path = _find_root(root)
    return [] if path.is_file() else [frame.image for frame in _frames_of_images(root) if not frame.mask.is_file()]


def _find_root(root: Path) -> tuple[Path, Path]:
    """Return the folder that holds all, and its labels.csv, which may be absent."""
    holder = find_holder(root, ("labels.csv",))
    if not (holder / "labels.csv").is_file():
        holder = find_holder(root, ("images",))
    return holder, holder / "labels.csv"


def _frames_of_images(root: Path) -> list[FramePlain]:
    """Return a frame for each image, whether or not it has a mask."""
    frames: dict[str, FramePlain] = {}
    for image in sorted(path for path in (root / "images").glob("[!.]*") if path.suffix.lower() in _SUFFIXES):
        frame = _frame(root, str(image), {"name": image.name}, ())
        if frames.setdefault(image.stem, frame) is not frame:
            raise InputError(
                f"{image}: {frames[image.stem].name!r} lies beside it; expected names that differ before their ending."
            )
    return list(frames.values())


def _listed_frames(root: Path, path: Path, activities: tuple[str, ...]) -> list[FramePlain]:
    lines = read_text(path).splitlines()
    try:
        reader = csv.reader(lines, strict=True, delimiter=_delimiter(lines[0] if lines else ""))
        # A spreadsheet may save rows that it once showed: their fields are empty.
        rows = [(reader.line_num, [field.strip() for field in row]) for row in reader if any(map(str.strip, row))]
    except csv.Error as error:
        raise InputError(f"{path}: not a CSV ({error}).") from None
    if not rows:
        raise InputError(f"{path}: empty; expected the head {','.join(_COLUMNS)} (the last three are optional).")
    head = rows[0][1]
    if "name" not in head or len(set(head)) != len(head) or not set(head) <= set(_COLUMNS):
        raise InputError(
            f"{path}, line 1: found {','.join(head)[:200]!r}; expected name and any of {', '.join(_COLUMNS[1:])}."
        )
    frames: dict[str, FramePlain] = {}
    for line, fields in rows[1:]:
        if len(fields) != len(head):
            raise InputError(f"{path}, line {line}: {len(fields)} fields; expected {len(head)} ({', '.join(head)}).")
        frame = _frame(root, f"{path}, line {line}", dict(zip(head, fields, strict=True)), activities)
        if frames.setdefault(Path(frame.name).stem, frame) is not frame:
            raise InputError(f"{path}, line {line}: {frame.name!r} is there twice (names differ before their ending).")
    if not frames:
        raise InputError(f"{path}: no row; expected one a frame.")
    return list(frames.values())


def _delimiter(head: str) -> str:
    """Return what parts the columns: the one of comma, semicolon and tab by which the head has the column `name`."""
    return next((mark for mark in ",;\t" if "name" in (field.strip(' "') for field in head.split(mark))), ",")


def _frame(root: Path, where: str, row: dict[str, str], activities: tuple[str, ...]) -> FramePlain:
    name = row["name"]
    if not _SAFE_NAME.fullmatch(name):
        raise InputError(f"{where}: the name {name[:80]!r}; expected a file name of images/, like case1_0001.png.")
    if activities and row.get("activity") not in activities:
        raise InputError(
            f"{where}: the activity {row.get('activity', '')[:80]!r}; the study lists {', '.join(activities)}."
        )
    if "split" in row and row["split"] not in (TRAIN, TEST):
        raise InputError(f"{where}: the split {row['split'][:80]!r}; expected {TRAIN} or {TEST}.")
    if "sequence" in row and not row["sequence"]:
        raise InputError(f"{where}: no sequence; expected one in every row, or no such column.")
    activity = row.get("activity", "") if activities else ""
    mask = root / "masks" / f"{Path(name).stem}.png"
    return FramePlain(name, activity, row.get("sequence", ""), row.get("split", ""), root / "images" / name, mask)
