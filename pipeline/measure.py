"""From predictions to rows, one an image, and back from kept rows to scores: rows are kept, so that any score can be computed again
without the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from endoarss.metrics import STANDARD, confuse_mask, measure_mask, scores_of_rows
from pipeline.datasets.labels import LabelSet
from pipeline.datasets.load import Part
from pipeline.errors import InputError


@dataclass(frozen=True)
class Measured:
    """scores: dicts of metric, class, value, n, in the standard protocol. per_image: one row an image."""

    scores: list[dict[str, Any]]
    per_image: pd.DataFrame


def measure(
    part: Part,
    truth: NDArray[np.uint8],
    labels: LabelSet,
    activity: NDArray[np.int64] | None,
    masks: NDArray[np.uint8] | None,
    confidence: NDArray[np.float32] | None = None,
) -> Measured:
    """Measure predictions against a split.

    Args:
        part: the split. truth: its masks (N, S, S). labels: of the dataset.
        activity: predicted activities (N,), or None. masks: predicted masks (N, S, S), or None. confidence: the probability (N,) that each
        predicted activity was given, where it is known.
    """
    measured = None
    if masks is not None:
        classes = len(labels.classes)
        pairs = list(zip(truth, masks, strict=True))
        measured = [measure_mask(*pair, classes) | confuse_mask(*pair, classes) for pair in pairs]
    rows = rows_of_images(part, activity, measured, confidence)
    return Measured(scores_of(rows, labels), rows)


def rows_of_images(
    part: Part,
    activity: NDArray[np.int64] | None,
    masks: Sequence[dict[str, float]] | None,
    confidence: NDArray[np.float32] | None = None,
) -> pd.DataFrame:
    """One row an image: frame_id, sequence, activity_true, activity_predicted, activity_confidence, as far as they are known, and
    what was measured of the masks.

    Args:
        part: the split. activity, confidence: as `measure` takes them. masks: what is kept of each mask, or None.
    """
    about: dict[str, Any] = {"frame_id": part.frame_ids, "sequence": part.sequences}
    if activity is not None and part.activities is not None:
        about |= {"activity_true": part.activities, "activity_predicted": activity}
        about |= {} if confidence is None else {"activity_confidence": confidence}
    rows = pd.DataFrame(about)
    return rows if masks is None else pd.concat([rows, pd.DataFrame(masks)], axis=1)


def scores_of(rows: pd.DataFrame, labels: LabelSet, protocol: str = STANDARD) -> list[dict[str, Any]]:
    """The scores of rows, as `endoarss.metrics.scores_of_rows` gives them.

    Raises:
        ValueError: if a row holds what no measurement gives.
    """
    columns = {name: rows[name].to_numpy() for name in rows}
    if not {"activity_true", "truth_0"} & set(columns):
        return []  # a dataset without activities, and a model that tells nothing else
    return scores_of_rows(columns, labels.classes, labels.activities, protocol)


_OF_MASKS = ("hd_1", "ssim_1", "row_hd")
CONDITION = ["corruption", "severity", "mask_warped"]


def read_rows(path: Path, frame_ids: Sequence[str], labels: LabelSet) -> pd.DataFrame:
    """Read kept rows of a test part, of one condition or of all conditions of a robustness evaluation.

    Args:
        path: per_image.parquet. frame_ids: of the part's images. labels: of the dataset.

    Raises:
        InputError: naming the file, if it is missing or no table, lacks a column, holds other images than the part, an image twice, a
        label the dataset does not have, or a count or label that is no number.
    """
    again = "Evaluate the cell again, or run snakemake."
    if not path.is_file():
        raise InputError(f"{path}: missing. {again}")
    try:
        rows = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a table of rows ({error}). {again}") from None
    lacks = {"frame_id", "sequence"} - set(rows)
    lacks |= (set(_OF_MASKS) if "truth_0" in rows else set()) - set(rows)
    if lacks:
        raise InputError(f"{path}: lacks the column(s) {', '.join(sorted(lacks))}; another version wrote it. {again}")
    odd = set(rows["frame_id"]) ^ set(frame_ids)
    if odd:
        whose = "of another dataset, or of another build of it" if odd - set(frame_ids) else "lacking"
        raise InputError(
            f"{path}: the image {min(odd)!r} is {whose}; {len(frame_ids):,} test images were expected. {again}"
        )
    key = ["frame_id", *(CONDITION if set(CONDITION) <= set(rows) else [])]
    if rows.duplicated(key).any():
        raise InputError(
            f"{path}: the image {rows.loc[rows.duplicated(key), 'frame_id'].iloc[0]!r} is there twice. {again}"
        )
    _check_numbers(path, rows, labels)
    return rows


def _check_numbers(path: Path, rows: pd.DataFrame, labels: LabelSet) -> None:
    limits = {"activity_true": len(labels.activities), "activity_predicted": len(labels.activities)}
    counts = [name for name in rows if name.startswith(("both_", "truth_", "predicted_", "pixels_"))]
    for name in [*(name for name in limits if name in rows), *counts, *({"row_hd", "activity_confidence"} & set(rows))]:
        values = rows[name].to_numpy(np.float64)
        wrong = ~(np.isfinite(values) & (values >= 0) & (values < limits.get(name, np.inf)))
        if wrong.any():
            frame = rows["frame_id"].iloc[int(wrong.argmax())]
            raise InputError(
                f"{path}: {name} of the image {frame!r} is {values[wrong][0]}. Evaluate the cell again, or run snakemake."
            )
