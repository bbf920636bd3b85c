"""A trained cell's answers on a test split, kept: metrics are computed from them again without the model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.io.saved_files import read_arrays
from pipeline.labels.classes import LabelSet


@dataclass(frozen=True)
class SavedPredictions:
    """frame_ids: of the N images. activity: int64 (N,), and confidence: float32 (N,), the probability that each was given; None where
    the model tells no activity. masks: uint8 (N, S, S), None where it segments nothing."""

    frame_ids: list[str]
    activity: NDArray[np.int64] | None
    confidence: NDArray[np.float32] | None
    masks: NDArray[np.uint8] | None


def write_predictions(path: Path, kept: SavedPredictions) -> None:
    """Write predictions as npz; the same predictions give the same bytes.

    Args:
        path: a file of `whole_files`, which puts it in place with the others of its step. kept: checked by `check_predictions`.
    """
    named = {"activity": kept.activity, "confidence": kept.confidence, "masks": kept.masks}
    arrays = {name: values for name, values in named.items() if values is not None}
    with path.open("wb") as stream:
        np.savez_compressed(stream, frame_id=np.array(kept.frame_ids), **arrays)  # type: ignore[arg-type]


def read_predictions(path: Path, frame_ids: Sequence[str], labels: LabelSet) -> SavedPredictions:
    """Read the kept predictions of some images, in their order.

    Args:
        path: the .npz file. frame_ids: of the images. labels: of their dataset; every value must be one of it.

    Raises:
        InputError: naming the file, if it is missing or torn, lacks an image, or holds what no model predicts.
    """
    again = "Run snakemake, or: endoarss evaluate --again."
    try:
        stored = read_arrays(path)
        place = {name: index for index, name in enumerate(stored["frame_id"].tolist())}
        chosen = [place[frame_id] for frame_id in frame_ids]
        found = {name: stored[name][chosen] for name in ("activity", "confidence", "masks") if name in stored}
    except (InputError, LookupError, TypeError, ValueError) as error:
        said = str(error).removeprefix(f"{path}: ") if isinstance(error, InputError) else error
        raise InputError(f"{path}: no kept predictions of these images ({said}). {again}") from None
    kept = SavedPredictions(list(frame_ids), found.get("activity"), found.get("confidence"), found.get("masks"))
    wrong = what_is_wrong(kept, labels)
    if wrong:
        raise InputError(f"{path}: {wrong}. {again}")
    return kept


def what_is_wrong(kept: SavedPredictions, labels: LabelSet) -> str:
    """Return what of predictions is outside its range, with the first image it is seen in; "" if nothing is.

    Args:
        kept: predictions of images of one dataset. labels: the dataset's classes and activities.
    """
    count = len(kept.frame_ids)
    for name, kinds, sides, low, high in (
        ("activity", "iu", 1, 0, len(labels.activities) - 1),
        ("confidence", "f", 1, 0.0, 1.0 + 1e-5),  # a softmax in float32 may exceed 1 by its last bits
        ("masks", "u", 3, 0, len(labels.classes) - 1),
    ):
        values = getattr(kept, name)
        if values is None:
            continue
        if values.dtype.kind not in kinds or values.ndim != sides or len(values) != count:
            return f"{name} is {values.dtype} of shape {values.shape}, of {count} images"
        if name == "masks" and values.dtype != np.uint8:
            return f"masks are {values.dtype}; expected uint8"
        flat = values.reshape(count, math.prod(values.shape[1:]))
        fine = ((flat >= low) & (flat <= high)).all(axis=1)  # False of NaN
        if not fine.all():
            row = int(fine.argmin())
            odd = next(value for value in flat[row].tolist() if not low <= value <= high)
            return f"{name} of the image {kept.frame_ids[row]!r} holds {odd}; expected {low} to {round(high)}"
    return ""
