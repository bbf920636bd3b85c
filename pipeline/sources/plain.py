"""Reads your own frames: images, one mask per image, and optionally a labels CSV.

They are in one folder (images/, masks/ and labels.csv), or in two folders and a file that the study names. The names of the files
show which mask belongs to which image (see `pipeline.sources.frame_pairs`).

The CSV has a header. `name` is the image's file name, or its path below the folder of the images, with or without its ending. `activity`,
`sequence` and `split` (train or test) are optional columns; a column has a value in every row. Commas, semicolons or tabs separate the
columns. A study without activities needs no CSV: every image with a mask is then a frame. Without the column `sequence`, the sequences
come from folders and names.
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
# A name, including its folders, becomes a file name in the dataset.
_SAFE_PART = re.compile(r"\w[\w .-]{0,120}", re.ASCII)
_LONGEST_NAME = 200
_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class PlainTree:
    """The folders and files of your own frames.

    Attributes:
        images: folder of the images.
        masks: folder of the masks.
        labels: the CSV that lists the frames, or None.
        columns: the CSV's own name of each column in `COLUMNS`; empty if the CSV uses exactly these names.
    """

    images: Path
    masks: Path
    labels: Path | None = None
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FramePlain:
    """A frame with its files. An entry is "" if the CSV has no such column.

    Attributes:
        name: the image's path below the folder of the images.
    """

    name: str
    activity: str
    sequence: str
    split: str
    image: Path
    mask: Path

    @property
    def key(self) -> str:
        """The name in the form that frame ids use; see `key_of`."""
        return key_of(self.name)


def key_of(name: str) -> str:
    """Return an image's name as frame ids contain it: without its ending, and with underscores between folders."""
    return PurePosixPath(name).with_suffix("").as_posix().replace("/", "_")


def find_tree(roots: Mapping[str, Path], columns: Mapping[str, str] | None = None) -> PlainTree:
    """Find the images, the masks and the labels CSV.

    Args:
        roots: by source name, either the folder that contains all three (wrapper folders are allowed), or the two folders and optionally
            the CSV.
        columns: see `PlainTree`.

    Raises:
        InputError: if several folders below the single folder contain images.
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
    """Find the frames and their files without decoding images.

    Args:
        tree: folders and files of the frames.
        activities: activities that the study lists.

    Returns:
        The frames that the CSV lists; without a CSV, one frame per image with a mask.

    Raises:
        InputError: if the CSV is malformed or the folders contain no frame; the message names the file and line, or the folders.
    """
    if tree.labels is not None:
        return _with_sequences(_listed_frames(tree, tree.labels, activities))
    if activities:
        raise InputError(
            f"{tree.images.parent / 'labels.csv'}: missing, but the study lists activities, so this file must give the activity of "
            "each frame. Put it there, or name it with the key labels (see docs/real-data.md)."
        )
    pairs = pair_frames(tree.images, tree.masks)
    frames = [_frame(tree, name, mask, {}, str(tree.images / name)) for name, mask in pairs.items() if mask]
    if not pairs:
        raise InputError(f"{tree.images}: no images; expected PNG or JPEG files in this folder or in folders below it.")
    if not frames:
        raise InputError(
            f"{tree.images}: none of {len(pairs)} images has a mask in {tree.masks}, and there is no labels.csv. Expected PNG or JPEG "
            "images, and for NAME.jpg a mask NAME.png or NAME_mask.png (see docs/real-data.md)."
        )
    return _with_sequences(frames)


def images_without_mask(tree: PlainTree) -> list[str]:
    """Return the names of the images without a mask, which are not frames; empty if a CSV lists the frames."""
    if tree.labels is not None:
        return []
    return [name for name, mask in pair_frames(tree.images, tree.masks).items() if not mask]


def read_labels(path: Path, name: str = "name") -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Read a labels CSV without converting its values.

    Args:
        path: the file.
        name: name of the column of image names, which helps to detect the separator.

    Returns:
        The header, and the rows with their line numbers.

    Raises:
        InputError: if the file is not a CSV, or is empty.
    """
    lines = read_text(path).splitlines()
    try:
        reader = csv.reader(lines, strict=True, delimiter=_delimiter(lines[0] if lines else "", name))
        # A spreadsheet may save rows with empty fields only, which are skipped.
        rows = [(reader.line_num, [field.strip() for field in row]) for row in reader if any(map(str.strip, row))]
    except csv.Error as error:
        raise InputError(f"{path}: not a CSV ({error}).") from None
    if not rows:
        raise InputError(f"{path}: empty; expected the header {','.join(COLUMNS)} (the last three are optional).")
    return rows[0][1], rows[1:]


def _delimiter(header: str, name: str) -> str:
    """Return the separator (comma, semicolon or tab) by which the header has the column `name`; otherwise the most frequent separator."""
    separators = ",;\t"
    with_name = (s for s in separators if name in (field.strip(' "') for field in header.split(s)))
    return next(with_name, max(separators, key=header.count))


def _listed_frames(tree: PlainTree, path: Path, activities: Sequence[str]) -> list[FramePlain]:
    header, rows = read_labels(path, tree.columns.get("name", "name"))
    indices = _column_indices(path, tree.columns, header)
    if not rows:
        raise InputError(f"{path}: no rows; expected one row per frame.")
    pairs = pair_frames(tree.images, tree.masks)
    image_of_name = names_of_images(pairs)
    frames: dict[str, FramePlain] = {}
    for line, fields in rows:
        where = f"{path}, line {line}"
        if len(fields) != len(header):
            raise InputError(f"{where}: {len(fields)} fields; expected {len(header)} ({', '.join(header)}).")
        row = {column: fields[index] for column, index in indices.items()}
        _check_row(where, row, activities)
        name = image_of_name.get(row["name"], row["name"])
        frame = _frame(tree, name, pairs.get(name), row if activities else {**row, "activity": ""}, where)
        if frames.setdefault(frame.key, frame) is not frame:
            raise InputError(f"{where}: {frame.name!r} occurs twice; expected names that differ before the ending.")
    return list(frames.values())


def names_of_images(names: Mapping[str, object]) -> dict[str, str]:
    """Return the image by each name that a CSV may use: its path, or its file name if it is unique, with or without ending."""
    image_of_name: dict[str, str] = {}
    for short in (lambda path: path.with_suffix("").as_posix(), lambda path: path.name, lambda path: path.stem):
        by_short_name: dict[str, list[str]] = {}
        for name in names:
            by_short_name.setdefault(short(PurePosixPath(name)), []).append(name)
        image_of_name = {
            short_name: images[0] for short_name, images in by_short_name.items() if len(images) == 1
        } | image_of_name
    return image_of_name | {name: name for name in names}


def _column_indices(path: Path, columns: Mapping[str, str], header: Sequence[str]) -> dict[str, int]:
    """Return the index in the header of each column in `COLUMNS`."""
    columns = columns or {name: name for name in header}
    missing = [name for name in columns.values() if name not in header]
    if "name" not in columns or missing or len(set(header)) != len(header) or not set(columns) <= set(COLUMNS):
        expected = f"name and any of {', '.join(COLUMNS[1:])}, or the CSV's own names under columns in the study"
        raise InputError(f"{path}, line 1: found {','.join(header)[:200]!r}; expected {expected}.")
    return {column: list(header).index(own_name) for column, own_name in columns.items()}


def _check_row(where: str, row: Mapping[str, str], activities: Sequence[str]) -> None:
    if activities and row.get("activity") not in activities:
        raise InputError(
            f"{where}: the activity is {row.get('activity', '')[:80]!r}; the study lists {', '.join(activities)}."
        )
    if "split" in row and row["split"] not in (TRAIN, TEST):
        raise InputError(f"{where}: the split is {row['split'][:80]!r}; expected {TRAIN} or {TEST}.")
    if "sequence" in row and not row["sequence"]:
        raise InputError(f"{where}: the sequence is empty; expected a sequence in every row, or no such column.")


def _frame(tree: PlainTree, name: str, mask: Path | None, row: Mapping[str, str], where: str) -> FramePlain:
    parts = name.split("/")
    safe = all(map(_SAFE_PART.fullmatch, parts)) and len(name) <= _LONGEST_NAME
    if not safe or not parts[-1].lower().endswith(_IMAGE_SUFFIXES):
        raise InputError(
            f"{where}: the name is {name[:80]!r}; expected the name of a PNG or JPEG file in {tree.images.name}/, like case1_0001.png, "
            "with letters without accents, digits, spaces, and . _ -"
        )
    mask = mask or tree.masks / PurePosixPath(name).with_suffix(".png")
    activity, sequence, split = (row.get(column, "") for column in COLUMNS[1:])
    return FramePlain(name, activity, sequence, split, tree.images / name, mask)


def _with_sequences(frames: list[FramePlain]) -> list[FramePlain]:
    """Return the frames with sequences from their names, if the CSV has no sequences."""
    if any(frame.sequence for frame in frames):
        return frames
    sequence_of = sequences_of(frame.name for frame in frames)
    return [replace(frame, sequence=sequence_of[frame.name]) for frame in frames]
