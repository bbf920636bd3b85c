"""Loads a built dataset at the input size of a study, for training, evaluation and merging."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.arrays import packed_arrays
from pipeline.datasets.card import read_card
from pipeline.datasets.manifest import read_manifest
from pipeline.errors import InputError


@dataclass(frozen=True)
class Split:
    """One split of a dataset. Images and masks are mapped into memory.

    Attributes:
        frame_ids: ids of the N frames.
        sequences: sequence of each frame.
        images: uint8 (N, S, S, 3).
        masks: uint8 (N, S, S).
        activities: id of each frame's activity, int64 (N,); None if the dataset has no activities.
    """

    frame_ids: list[str]
    sequences: list[str]
    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    activities: NDArray[np.int64] | None

    def take(self, selection: NDArray[np.bool_] | list[int]) -> Split:
        """Return a copy with the frames where `selection` (N,) is true, or with the frames of these indices in this order."""
        index = np.arange(len(self.frame_ids))[selection]
        return Split(
            [self.frame_ids[i] for i in index],
            [self.sequences[i] for i in index],
            self.images[index],
            self.masks[index],
            None if self.activities is None else self.activities[index],
        )


def load_split(folder: Path, split: str, size: int, workers: int = 1) -> Split:
    """Load one split with every frame resized to (size, size).

    Args:
        folder: the built dataset.
        split: train or test.
        size: side length in pixels.
        workers: number of processes that decode frames if this split was not loaded at this size before.

    Raises:
        InputError: if the dataset is not built, the split is empty, or a frame cannot be read.
    """
    card = read_card(folder)
    rows = [row for row in read_manifest(folder) if row["split"] == split]
    if not rows:
        raise InputError(f"{folder / 'manifest.csv'}: no frame in the split {split!r}.")
    images, masks = packed_arrays(folder, rows, split, size, workers)
    activities = None
    if card["activities"]:
        unknown = {row["activity"] for row in rows} - set(card["activities"])
        if unknown:
            raise InputError(
                f"{folder / 'manifest.csv'}: holds the activity {min(unknown)!r}, but dataset.json lists {', '.join(card['activities'])}. "
                "Build the dataset again."
            )
        activities = np.array([card["activities"].index(row["activity"]) for row in rows], np.int64)
    return Split([r["frame_id"] for r in rows], [r["sequence"] for r in rows], images, masks, activities)


def validation_rows(folder: Path) -> NDArray[np.bool_]:
    """Return for each training frame whether `select_on: val` uses it for validation: bool (N,), in the order of `load_split`."""
    rows = [row for row in read_manifest(folder) if row["split"] == "train"]
    return np.array([row["validation"] == "yes" for row in rows])


def split_validation(folder: Path, split: Split) -> tuple[Split, Split]:
    """Divide the training split as `select_on: val` asks: return the frames to train on and the validation frames.

    Raises:
        InputError: if one of the two would be empty.
    """
    held_out = validation_rows(folder)
    if held_out.all() or not held_out.any():
        raise InputError(
            f"{folder}: {held_out.sum()} of {len(held_out)} training frames are for validation; select_on: val needs frames for "
            "validation and frames for training. There are too few frames: use select_on: last."
        )
    return split.take(~held_out), split.take(held_out)
