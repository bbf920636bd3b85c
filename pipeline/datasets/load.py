"""Reads a built dataset back, at the size a study asks for."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.build import COLUMNS
from pipeline.errors import InputError
from pipeline.images import check_same_size, read_ids, read_rgb, resize_image, resize_mask


@dataclass(frozen=True)
class Part:
    """One split of a dataset: frame ids, sequences, uint8 images (N, S, S, 3), uint8 masks (N, S, S), and int64
    activities (N,), or None where the dataset has none."""

    frame_ids: list[str]
    sequences: list[str]
    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    activities: NDArray[np.int64] | None


def read_card(folder: Path) -> dict[str, Any]:
    """The dataset's dataset.json."""
    path = folder / "dataset.json"
    if not path.is_file():
        raise InputError(f"{path}: missing; this dataset is not built. Run snakemake, or `endoarss build`.")
    return json.loads(path.read_text(encoding="utf-8"))


def read_manifest(folder: Path) -> list[dict[str, str]]:
    """The rows of the dataset's manifest.csv.

    Raises:
        InputError: if it is missing or lacks a column.
    """
    path = folder / "manifest.csv"
    if not path.is_file():
        raise InputError(f"{path}: missing; this dataset is not built. Run snakemake, or `endoarss build`.")
    with path.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        missing = set(COLUMNS) - set(reader.fieldnames or ())
        if missing:
            raise InputError(
                f"{path}: lacks the column(s) {', '.join(sorted(missing))}; expected {', '.join(COLUMNS)}."
            )
        return list(reader)


def load_part(folder: Path, split: str, size: int) -> Part:
    """Decode one split into memory, every frame resized to (size, size).

    Raises:
        InputError: if the dataset is not built, the split is empty, or a frame cannot be read.
    """
    card = read_card(folder)
    rows = [row for row in read_manifest(folder) if row["split"] == split]
    if not rows:
        raise InputError(f"{folder / 'manifest.csv'}: no frame in the split {split!r}.")
    images = np.empty((len(rows), size, size, 3), np.uint8)
    masks = np.empty((len(rows), size, size), np.uint8)
    for index, row in enumerate(rows):
        image, mask = read_rgb(folder / row["image"]), read_ids(folder / row["mask"])
        check_same_size(image, mask, folder / row["image"], folder / row["mask"])
        if mask.max(initial=0) >= len(card["classes"]):
            raise InputError(f"{folder / row['mask']}: value {mask.max()}; expected 0 to {len(card['classes']) - 1}.")
        images[index], masks[index] = resize_image(image, size), resize_mask(mask, size)
    activities = None
    if card["activities"]:
        activities = np.array([card["activities"].index(row["activity"]) for row in rows], np.int64)
    return Part([r["frame_id"] for r in rows], [r["sequence"] for r in rows], images, masks, activities)
