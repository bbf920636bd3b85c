"""Selects the test images and severities that the page's gallery shows, and writes and reads the file of predicted masks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from endoarss.labels import IGNORED
from pipeline.datasets.load import Split
from pipeline.errors import InputError
from pipeline.io.files import whole_file
from pipeline.io.saved_files import read_arrays

SIZE = 3
"""Largest number of images per dataset in the gallery."""


def shown_severities(severities: Sequence[int]) -> tuple[int, ...]:
    """Return the severities in the gallery: the lowest, the middle and the highest of a study's severities."""
    ordered = sorted(severities)
    return tuple(dict.fromkeys((ordered[0], ordered[len(ordered) // 2], ordered[-1])))


def representative(split: Split, count: int) -> list[int]:
    """Return the positions of representative images: first one image per activity, then the others, both with the most classes first.

    Args:
        split: the images with their masks and activities.
        count: largest number of positions.
    """
    class_counts = [len(set(np.unique(mask).tolist()) - {IGNORED}) for mask in split.masks]
    ranked = sorted(range(len(class_counts)), key=lambda i: (-class_counts[i], split.frame_ids[i]))
    first_of_activity: dict[int, int] = {}
    for index in ranked:
        first_of_activity.setdefault(index if split.activities is None else int(split.activities[index]), index)
    selected = list(first_of_activity.values())
    return [*selected, *(index for index in ranked if index not in selected)][:count]


def write_gallery(path: Path, frame_ids: list[str], conditions: pd.DataFrame, masks: NDArray[np.uint8]) -> None:
    """Write predicted masks of the gallery images as .npz: frame_id (G,), corruption and severity (K,), masks (K, G, S, S).

    Args:
        path: the new file.
        frame_ids: ids of the G images.
        conditions: K rows with the columns corruption ("" is clean) and severity.
        masks: uint8 (K, G, S, S), in the order of the conditions.
    """
    with whole_file(path) as partial, partial.open("wb") as stream:
        np.savez_compressed(
            stream,
            frame_id=np.array(frame_ids, np.str_),
            corruption=np.array(conditions["corruption"], np.str_),
            severity=np.array(conditions["severity"], np.int64),
            masks=masks,
        )


def read_gallery(path: Path, classes: int = 256) -> tuple[list[str], dict[tuple[str, int], NDArray[np.uint8]]]:
    """Return the frame ids in a file of `write_gallery`, and the masks, uint8 (G, S, S), by (corruption, severity).

    Args:
        path: gallery.npz.
        classes: number of classes; every id in the masks must be smaller.

    Raises:
        InputError: if the file is missing or not complete, or a mask holds an id that is not a class.
    """
    try:
        stored = read_arrays(path)
        keys = list(zip(stored["corruption"].tolist(), stored["severity"].tolist(), strict=True))
        frames, masks = stored["frame_id"].tolist(), stored["masks"]
        if masks.dtype != np.uint8 or masks.ndim != 4 or masks.shape[:2] != (len(keys), len(frames)):
            raise ValueError(
                f"masks are {masks.dtype} of shape {masks.shape}; expected uint8 of shape ({len(keys)}, {len(frames)}, height, width)"
            )
        if masks.max(initial=0) >= classes:
            raise ValueError(f"a mask holds {masks.max()}; expected 0 to {classes - 1}")
        return frames, dict(zip(keys, masks, strict=True))
    except (InputError, KeyError, TypeError, ValueError) as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise InputError(
            f"{path}: the saved masks cannot be used ({reason}). Evaluate the cell's robustness again, or run snakemake."
        ) from None
