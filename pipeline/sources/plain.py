"""Reader of a dataset of one's own: images/NAME.png (or .jpg), masks/NAME.png, and labels.csv.

labels.csv has a head. `name` is the file's name in images/; `activity`, `sequence` and `split` (train or test) are
optional columns, each for all frames or none. Mask values are the places of the classes in the study's list, 0 the background.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from pipeline.datasets.splits import TEST, TRAIN
from pipeline.errors import InputError
from pipeline.files import find_holder, read_text

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
    """Read labels.csv and find each row's files, without decoding a picture.

    Args:
        root: a folder with labels.csv in it, wrappers allowed. activities: those the study lists.

    Raises:
        InputError: naming file, line and column.
    """
    root = find_holder(root, ("labels.csv",))
    path = root / "labels.csv"
    if not path.is_file():
        raise InputError(f"{path}: missing. Expected images/, masks/ and labels.csv in {root} (see docs/real-data.md).")
    try:
        reader = csv.reader(read_text(path).splitlines(), strict=True)
        rows = [(reader.line_num, [field.strip() for field in row]) for row in reader if row]
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
