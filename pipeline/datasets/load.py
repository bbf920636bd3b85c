"""Reads a built dataset back, at the size a study asks for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.arrays import packed
from pipeline.datasets.card import read_card
from pipeline.datasets.manifest import read_manifest
from pipeline.errors import InputError


@dataclass(frozen=True)
class Split:
    """One split of a dataset: frame ids, sequences, uint8 images (N, S, S, 3), uint8 masks (N, S, S), and int64
    activities (N,), or None where the dataset has none. Images and masks are mapped into memory."""

    frame_ids: list[str]
    sequences: list[str]
    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    activities: NDArray[np.int64] | None

    def take(self, chosen: NDArray[np.bool_] | list[int]) -> Split:
        """The frames where `chosen` (N,) is true, or those with these indices in this order, copied."""
        index = np.arange(len(self.frame_ids))[chosen]
        return Split(
            [self.frame_ids[i] for i in index],
            [self.sequences[i] for i in index],
            self.images[index],
            self.masks[index],
            None if self.activities is None else self.activities[index],
        )


def load_split(folder: Path, split: str, size: int, workers: int = 1) -> Split:
    """One split, every frame resized to (size, size).

    Args:
        folder: the built dataset. split: train or test. size: in pixels.
        workers: processes that decode, if nobody loaded this split at this size before.

    Raises:
        InputError: if the dataset is not built, the split is empty, or a frame cannot be read.
    """
    card = read_card(folder)
    rows = [row for row in read_manifest(folder) if row["split"] == split]
    if not rows:
        raise InputError(f"{folder / 'manifest.csv'}: no frame in the split {split!r}.")
    images, masks = packed(folder, rows, split, size, workers)
    activities = None
    if card["activities"]:
        unknown = {row["activity"] for row in rows} - set(card["activities"])
        if unknown:
            raise InputError(
                f"{folder / 'manifest.csv'}: the activity {min(unknown)!r}; dataset.json lists {', '.join(card['activities'])}."
            )
        activities = np.array([card["activities"].index(row["activity"]) for row in rows], np.int64)
    return Split([r["frame_id"] for r in rows], [r["sequence"] for r in rows], images, masks, activities)


def validation_rows(folder: Path) -> NDArray[np.bool_]:
    """Which frames of the training split, in the order of `load_split`, choose the model under `select_on: val`."""
    rows = [row for row in read_manifest(folder) if row["split"] == "train"]
    return np.array([row["validation"] == "yes" for row in rows])


def split_validation(folder: Path, part: Split) -> tuple[Split, Split]:
    """The training split as `select_on: val` cuts it: what is trained on, and what chooses.

    Raises:
        InputError: if either would be empty.
    """
    held_out = validation_rows(folder)
    if held_out.all() or not held_out.any():
        raise InputError(
            f"{folder}: {held_out.sum()} of {len(held_out)} training frames are for validation; select_on: val asks for some "
            "to choose on and some to train on. Too few frames: use select_on: last."
        )
    return part.take(~held_out), part.take(held_out)
