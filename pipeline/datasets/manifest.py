"""Writes and reads manifest.csv, which has one row per frame of a built dataset."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import InputError
from pipeline.io.files import read_text
from pipeline.labels.splits import TEST, TRAIN

COLUMNS = (
    "frame_id",
    "source",
    "sequence",
    "split",  # train or test
    "validation",  # yes for training frames that select_on: val uses for validation
    "activity",
    "actions",  # all actions; semicolons separate actions, instruments and flags
    "instruments",  # classes that occur in the mask
    "image",
    "mask",
    "width",
    "height",
    "image_sha256",
    "mask_sha256",
    "flags",
)

# The meaning of each flag. The card repeats the meanings of the flags that occur.
FLAGS = {
    "empty_mask": "no class but the background occurs in the mask",
    "ignored_pixels": "some pixels of the mask belong to no class: losses and metrics leave them out",
    "no_type_mask": "the sequence has raw instrument types, but this frame has none: its mask holds only probe and suction instrument",
    "named_not_in_mask": "the annotation names an instrument whose class does not occur in the mask",
    "in_mask_not_named": "a class occurs in the mask, but the annotation names no instrument of this class",
    "instrument_without_class": "the annotation names an instrument that is not a class of the benchmark, like the stapler",
}


def manifest_text(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the rows as CSV text."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def read_manifest(folder: Path) -> list[dict[str, str]]:
    """Return the rows of a built dataset's manifest.csv.

    Raises:
        InputError: if the file is missing, lacks a column, or has an invalid value in a row.
    """
    path = folder / "manifest.csv"
    if not path.is_file():
        raise InputError(
            f"{path}: missing; this dataset is not built. Run snakemake, or `endoarss step build_dataset`."
        )
    try:
        reader = csv.DictReader(io.StringIO(read_text(path), newline=""), strict=True)
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise InputError(f"{path}: not a CSV ({error}); build the dataset again.") from None
    missing = set(COLUMNS) - set(reader.fieldnames or ())
    if missing:
        raise InputError(f"{path}: the column(s) {', '.join(sorted(missing))} are missing; build the dataset again.")
    for line, row in rows:
        _check_row(f"{path}, line {line}", row)
    return [row for _, row in rows]


def _check_row(where: str, row: dict[str, Any]) -> None:
    if None in row or None in row.values():
        raise InputError(f"{where}: the number of fields differs from the header; build the dataset again.")
    if row["split"] not in (TRAIN, TEST):
        raise InputError(f"{where}: the split is {row['split'][:40]!r}; expected {TRAIN} or {TEST}.")
    for kind in ("image", "mask"):
        path = Path(row[kind])
        if path.is_absolute() or ".." in path.parts or path.suffix != ".png" or len(path.parts) != 2:
            raise InputError(f"{where}: the {kind} is {row[kind][:80]!r}; expected {kind}s/NAME.png.")
