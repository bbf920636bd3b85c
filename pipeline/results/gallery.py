"""The page's gallery: which test images and severities it shows, and the predicted masks that are kept of them."""

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
"""The most images of a dataset in the page's gallery."""


def shown_severities(severities: Sequence[int]) -> tuple[int, ...]:
    """Of the severities that a study measures those in the gallery: the lowest, the middle and the highest."""
    found = sorted(severities)
    return tuple(dict.fromkeys((found[0], found[len(found) // 2], found[-1])))


def representative(part: Split, count: int) -> list[int]:
    """Which images show most: those with the most classes first, no two of one activity as long as there are others.

    Args:
        part: the split. count: the most images.
    """
    richness = [len(set(np.unique(mask).tolist()) - {IGNORED}) for mask in part.masks]
    ranked = sorted(range(len(richness)), key=lambda i: (-richness[i], part.frame_ids[i]))
    first_of_activity: dict[int, int] = {}
    for index in ranked:
        first_of_activity.setdefault(index if part.activities is None else int(part.activities[index]), index)
    firsts = list(first_of_activity.values())
    return [*firsts, *(index for index in ranked if index not in firsts)][:count]


def write_gallery(path: Path, frame_ids: list[str], conditions: pd.DataFrame, masks: NDArray[np.uint8]) -> None:
    """Keep predicted masks of the gallery's images as .npz: frame_id (G,), corruption and severity (K,), masks (K, G, S, S).

    Args:
        conditions: columns corruption ("" is clean) and severity. masks: in their order.
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
    """Read what `write_gallery` kept: frame ids, and by corruption and severity masks (G, S, S).

    Args:
        path: gallery.npz. classes: how many the dataset has; masks hold the ids below.

    Raises:
        InputError: naming the file, if it is missing or not whole, or a mask holds what is no class.
    """
    try:
        stored = read_arrays(path)
        keys = list(zip(stored["corruption"].tolist(), stored["severity"].tolist(), strict=True))
        frames, masks = stored["frame_id"].tolist(), stored["masks"]
        if masks.dtype != np.uint8 or masks.ndim != 4 or masks.shape[:2] != (len(keys), len(frames)):
            raise ValueError(f"masks are {masks.dtype} of shape {masks.shape}")
        if masks.max(initial=0) >= classes:
            raise ValueError(f"a mask holds {masks.max()}; expected 0 to {classes - 1}")
        return frames, dict(zip(keys, masks, strict=True))
    except (InputError, KeyError, TypeError, ValueError) as error:
        said = str(error).removeprefix(f"{path}: ")
        raise InputError(
            f"{path}: no kept masks ({said}). Evaluate the cell's robustness again, or run snakemake."
        ) from None
