"""Reader of a dataset of one's own: images, a mask for each, and perhaps a labels CSV.

They lie in one folder (images/, masks/ and labels.csv), or in two folders and a file that the study names. Which mask belongs to
which image is told by their names (`pipeline.sources.frame_pairs`).

The CSV has a head. `name` is the image's file name, or its path below the folder of the images, with or without its ending; `activity`,
`sequence` and `split` (train or test) are optional columns, each for all frames or none. Commas, semicolons or tabs part the columns.
Without activities the file may be absent: every image with a mask is a frame then. Where no column says it, the sequence is read from
folders and names.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from pipeline.errors import InputError
from pipeline.io.files import read_text
from pipeline.io.raw_trees import find_holder
from pipeline.labels.splits import TEST, TRAIN
from pipeline.sources.contacts import PLAIN, PLAIN_LABELS, PLAIN_MASKS
from pipeline.sources.frame_pairs import pair_frames, sequences_of

COLUMNS = ("name", "activity", "sequence", "split")
# A name becomes a file's name in the dataset, with its folders.
_SAFE_PART = re.compile(r"\w[\w .-]{0,120}", re.ASCII)
_LONGEST_NAME = 200
_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class PlainTree:
    """Where own frames lie.

    images, masks: folders. labels: the CSV that lists the frames, None where there is none. columns: what it calls its columns; empty
    where they have their own names and there are no others.
    """

    images: Path
    masks: Path
    labels: Path | None = None
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FramePlain:
    """A frame with its files; what the CSV does not say of it is empty. name: the image's path below the folder of the images."""

    name: str
    activity: str
    sequence: str
    split: str
    image: Path
    mask: Path

    @property
    def key(self) -> str:
        """As `key_of` has it."""
        return key_of(self.name)


def key_of(name: str) -> str:
    """Return an image's name without its ending, folders joined by underscores: what its frame id has after the dataset's name."""
    return PurePosixPath(name).with_suffix("").as_posix().replace("/", "_")


def find_tree(roots: Mapping[str, Path], columns: Mapping[str, str] | None = None) -> PlainTree:
    """Find images, masks and labels CSV.

    Args:
        roots: by name, as above: the folder that holds all three, wrappers allowed; or the two folders, and perhaps the CSV.
        columns: as `PlainTree` has them.

    Raises:
        InputError: if several folders below the one hold images.
    """
    root = roots[PLAIN]
    if PLAIN_MASKS in roots:
        return PlainTree(root, roots[PLAIN_MASKS], roots.get(PLAIN_LABELS), columns or {})
    holder = find_holder(root, ("labels.csv",))
    if not (holder / "labels.csv").is_file():
        holder = find_holder(root, ("images",))
    labels = holder / "labels.csv"
    return PlainTree(holder / "images", holder / "masks", labels if labels.is_file() else None, columns or {})


def read_tree(tree: PlainTree, activities: Sequence[str]) -> list[FramePlain]:
    """Find the frames and their files, without decoding a picture.

    Args:
        tree: where they lie. activities: those the study lists.

    Returns:
        The frames that the CSV lists, or where there is none those of all images with a mask.

    Raises:
        InputError: naming file, line and column; or the folders, if they hold no frame.
    """
    if tree.labels is not None:
        return _with_sequences(_listed_frames(tree, tree.labels, activities))
    if activities:
        raise InputError(
            f"{tree.images.parent / 'labels.csv'}: missing, and the study lists activities, which it tells of "
            "each frame. Put it there, or name it with the key labels (see docs/real-data.md)."
        )
    pairs = pair_frames(tree.images, tree.masks)
    frames = [_frame(tree, name, mask, {}, str(tree.images / name)) for name, mask in pairs.items() if mask]
    if not pairs:
        raise InputError(f"{tree.images}: no images; expected PNG or JPEG files in it, or in folders below it.")
    if not frames:
        raise InputError(
            f"{tree.images}: {len(pairs)} images and none has a mask in {tree.masks}, and there is no labels.csv. Expected PNG or JPEG "
            "images, and for NAME.jpg a mask NAME.png or NAME_mask.png (see docs/real-data.md)."
        )
    return _with_sequences(frames)


def images_without_mask(tree: PlainTree) -> list[str]:
    """Return the names of the images that are no frames for want of a mask, where no CSV lists the frames."""
    if tree.labels is not None:
        return []
    return [name for name, mask in pair_frames(tree.images, tree.masks).items() if not mask]


def read_labels(path: Path, name: str = "name") -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Read a labels CSV as texts.

    Args:
        path: the file. name: what it calls the column of names; where none is called so, the head tells what parts the columns.

    Returns:
        The head, and the rows with their lines.

    Raises:
        InputError: if it is no CSV, or empty.
    """
    lines = read_text(path).splitlines()
    try:
        reader = csv.reader(lines, strict=True, delimiter=_delimiter(lines[0] if lines else "", name))
        # A spreadsheet may save rows that it once showed: their fields are empty.
        rows = [(reader.line_num, [field.strip() for field in row]) for row in reader if any(map(str.strip, row))]
    except csv.Error as error:
        raise InputError(f"{path}: not a CSV ({error}).") from None
    if not rows:
        raise InputError(f"{path}: empty; expected the head {','.join(COLUMNS)} (the last three are optional).")
    return rows[0][1], rows[1:]


def _delimiter(head: str, name: str) -> str:
    """Return what parts the columns: the one of comma, semicolon and tab by which the head has the column of names, else by which it
    has most columns."""
    marks = ",;\t"
    named = (mark for mark in marks if name in (field.strip(' "') for field in head.split(mark)))
    return next(named, max(marks, key=head.count))


def _listed_frames(tree: PlainTree, path: Path, activities: Sequence[str]) -> list[FramePlain]:
    head, rows = read_labels(path, tree.columns.get("name", "name"))
    places = _places(path, tree.columns, head)
    if not rows:
        raise InputError(f"{path}: no row; expected one a frame.")
    pairs = pair_frames(tree.images, tree.masks)
    known = names_of_images(pairs)
    frames: dict[str, FramePlain] = {}
    for line, fields in rows:
        where = f"{path}, line {line}"
        if len(fields) != len(head):
            raise InputError(f"{where}: {len(fields)} fields; expected {len(head)} ({', '.join(head)}).")
        row = {column: fields[place] for column, place in places.items()}
        _check_row(where, row, activities)
        name = known.get(row["name"], row["name"])
        frame = _frame(tree, name, pairs.get(name), row if activities else {**row, "activity": ""}, where)
        if frames.setdefault(frame.key, frame) is not frame:
            raise InputError(f"{where}: {frame.name!r} is there twice (names differ before their ending).")
    return list(frames.values())


def names_of_images(names: Mapping[str, object]) -> dict[str, str]:
    """Return what a CSV may call images, and the image that each means: the path, the file's name if it is the only one of that name,
    either without its ending."""
    found: dict[str, str] = {}
    for way in (lambda path: path.with_suffix("").as_posix(), lambda path: path.name, lambda path: path.stem):
        called: dict[str, list[str]] = {}
        for name in names:
            called.setdefault(way(PurePosixPath(name)), []).append(name)
        found = {called_so: means[0] for called_so, means in called.items() if len(means) == 1} | found
    return found | {name: name for name in names}


def _places(path: Path, columns: Mapping[str, str], head: Sequence[str]) -> dict[str, int]:
    """The place of each column of ours in the head."""
    columns = columns or {name: name for name in head}
    lacking = [name for name in columns.values() if name not in head]
    if "name" not in columns or lacking or len(set(head)) != len(head) or not set(columns) <= set(COLUMNS):
        expected = (
            f"name and any of {', '.join(COLUMNS[1:])}, or that the study says under columns what they are called"
        )
        raise InputError(f"{path}, line 1: found {','.join(head)[:200]!r}; expected {expected}.")
    return {ours: list(head).index(theirs) for ours, theirs in columns.items()}


def _check_row(where: str, row: Mapping[str, str], activities: Sequence[str]) -> None:
    if activities and row.get("activity") not in activities:
        raise InputError(
            f"{where}: the activity {row.get('activity', '')[:80]!r}; the study lists {', '.join(activities)}."
        )
    if "split" in row and row["split"] not in (TRAIN, TEST):
        raise InputError(f"{where}: the split {row['split'][:80]!r}; expected {TRAIN} or {TEST}.")
    if "sequence" in row and not row["sequence"]:
        raise InputError(f"{where}: no sequence; expected one in every row, or no such column.")


def _frame(tree: PlainTree, name: str, mask: Path | None, row: Mapping[str, str], where: str) -> FramePlain:
    parts = name.split("/")
    safe = all(map(_SAFE_PART.fullmatch, parts)) and len(name) <= _LONGEST_NAME
    if not safe or not parts[-1].lower().endswith(_IMAGE_SUFFIXES):
        raise InputError(
            f"{where}: the name {name[:80]!r}; expected a file name of {tree.images.name}/, like case1_0001.png: PNG or JPEG, of "
            "letters without accents, digits, spaces, and . _ -"
        )
    mask = mask or tree.masks / PurePosixPath(name).with_suffix(".png")
    activity, sequence, split = (row.get(column, "") for column in COLUMNS[1:])
    return FramePlain(name, activity, sequence, split, tree.images / name, mask)


def _with_sequences(frames: list[FramePlain]) -> list[FramePlain]:
    """The frames, their sequences read from names where no column says them."""
    if any(frame.sequence for frame in frames):
        return frames
    found = sequences_of(frame.name for frame in frames)
    return [replace(frame, sequence=found[frame.name]) for frame in frames]
