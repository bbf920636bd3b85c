"""Writes, reads and checks a cell's predictions on a test split, from which metrics can be computed again without the model."""

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

_TYPES = {"iu": "integers", "f": "floating-point numbers", "u": "uint8"}  # by the kinds of numpy types


@dataclass(frozen=True)
class SavedPredictions:
    """Predictions for N images.

    Attributes:
        frame_ids: ids of the images.
        activity: int64 (N,), or None if the model predicts no activity.
        confidence: float32 (N,), the probability of each predicted activity, or None.
        masks: uint8 (N, S, S), or None if the model does not segment.
    """

    frame_ids: list[str]
    activity: NDArray[np.int64] | None
    confidence: NDArray[np.float32] | None
    masks: NDArray[np.uint8] | None


def write_predictions(path: Path, predictions: SavedPredictions) -> None:
    """Write predictions as .npz. The same predictions give the same bytes.

    Args:
        path: a temporary file of `whole_files`, which moves it to its place with the other files of the step.
        predictions: valid predictions, for which `what_is_wrong` returns "".
    """
    by_name = {"activity": predictions.activity, "confidence": predictions.confidence, "masks": predictions.masks}
    arrays = {name: values for name, values in by_name.items() if values is not None}
    with path.open("wb") as stream:
        np.savez_compressed(stream, frame_id=np.array(predictions.frame_ids), **arrays)  # type: ignore[arg-type]


def read_predictions(path: Path, frame_ids: Sequence[str], labels: LabelSet) -> SavedPredictions:
    """Read the saved predictions of some images, in the given order.

    Args:
        path: the .npz file.
        frame_ids: ids of the images.
        labels: classes and activities of the images' dataset. Every activity and every mask value must be one of these ids.

    Raises:
        InputError: if the file is missing or damaged, an image is missing, or a value is out of range.
    """
    remedy = "Run snakemake, or: endoarss evaluate --again."
    try:
        stored = read_arrays(path)
        index_of = {name: index for index, name in enumerate(stored["frame_id"].tolist())}
        positions = [index_of[frame_id] for frame_id in frame_ids]
        selected = {name: stored[name][positions] for name in ("activity", "confidence", "masks") if name in stored}
    except (InputError, LookupError, TypeError, ValueError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error).removeprefix(f"{path}: ")
        raise InputError(f"{path}: no saved predictions of these images ({reason}). {remedy}") from None
    predictions = SavedPredictions(
        list(frame_ids), selected.get("activity"), selected.get("confidence"), selected.get("masks")
    )
    wrong = what_is_wrong(predictions, labels)
    if wrong:
        raise InputError(f"{path}: {wrong}. {remedy}")
    return predictions


def what_is_wrong(predictions: SavedPredictions, labels: LabelSet) -> str:
    """Return what is wrong with the first faulty array: its type, its shape or a value out of range. Return "" if nothing is wrong.

    Args:
        predictions: predictions for images of one dataset.
        labels: classes and activities of the dataset.
    """
    count = len(predictions.frame_ids)
    for name, kinds, sides, low, high in (
        ("activity", "iu", 1, 0, len(labels.activities) - 1),
        ("confidence", "f", 1, 0.0, 1.0 + 1e-5),  # a softmax in float32 may exceed 1 by its last bits
        ("masks", "u", 3, 0, len(labels.classes) - 1),
    ):
        values = getattr(predictions, name)
        if values is None:
            continue
        if values.dtype.kind not in kinds or values.ndim != sides or len(values) != count:
            shape = f"({count},)" if sides == 1 else f"({count}, height, width)"
            return f"{name} is {values.dtype} of shape {values.shape}; expected {_TYPES[kinds]} of shape {shape}"
        if name == "masks" and values.dtype != np.uint8:
            return f"masks are {values.dtype}; expected uint8"
        flat = values.reshape(count, math.prod(values.shape[1:]))
        valid = ((flat >= low) & (flat <= high)).all(axis=1)  # False for NaN
        if not valid.all():
            row = int(valid.argmin())
            invalid = next(value for value in flat[row].tolist() if not low <= value <= high)
            return (
                f"{name} of the image {predictions.frame_ids[row]!r} holds {invalid}; expected {low} to {round(high)}"
            )
    return ""
