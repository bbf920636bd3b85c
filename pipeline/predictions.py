"""A trained cell's answers on a test part, kept: metrics are computed from them again without the model."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from corruptions.regular import open_regular
from pipeline.errors import InputError
from pipeline.files import whole_file


@dataclass(frozen=True)
class KeptPredictions:
    """frame_ids: of the N images. activity: int64 (N,), and confidence: float32 (N,), the probability that each was given; None where
    the model tells no activity. masks: uint8 (N, S, S), None where it segments nothing."""

    frame_ids: list[str]
    activity: NDArray[np.int64] | None
    confidence: NDArray[np.float32] | None
    masks: NDArray[np.uint8] | None


def write_predictions(path: Path, kept: KeptPredictions) -> None:
    """Write predictions as npz, whole or not at all; the same predictions give the same bytes."""
    named = {"activity": kept.activity, "confidence": kept.confidence, "masks": kept.masks}
    arrays = {name: values for name, values in named.items() if values is not None}
    with whole_file(path) as partial, partial.open("wb") as stream:
        np.savez_compressed(stream, frame_id=np.array(kept.frame_ids), **arrays)  # type: ignore[arg-type]


def read_predictions(path: Path, frame_ids: Sequence[str]) -> KeptPredictions:
    """The kept predictions of these images, in this order.

    Raises:
        InputError: naming the file, if it is missing or torn, or lacks an image.
    """
    try:
        with open_regular(path) as stream, np.load(stream, allow_pickle=False) as stored:
            place = {name: index for index, name in enumerate(stored["frame_id"].tolist())}
            chosen = [place[frame_id] for frame_id in frame_ids]
            found = {name: stored[name][chosen] for name in ("activity", "confidence", "masks") if name in stored}
    except (OSError, EOFError, LookupError, TypeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"{path}: no kept predictions of these images ({error}). Run snakemake, or: endoarss evaluate --again."
        ) from None
    return KeptPredictions(list(frame_ids), found.get("activity"), found.get("confidence"), found.get("masks"))
