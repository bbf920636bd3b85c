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
from endoarss.metrics.catalogue import MEASUREMENTS
from endoarss.metrics.counts import COUNTED
from pipeline.datasets.labels import LabelSet
from pipeline.datasets.load import Part
from pipeline.errors import InputError
from pipeline.saved_files import read_table


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


CONDITION = ["corruption", "severity", "mask_warped"]
# How the columns of values of classes begin.
_VALUES = [(one, f"{name}_") for one in MEASUREMENTS for name in one.names]
_AGAIN = "Evaluate the cell again, or run snakemake."


def read_rows(path: Path, frame_ids: Sequence[str], labels: LabelSet) -> pd.DataFrame:
    """Read kept rows of a test part, of one condition or of all conditions of a robustness evaluation.

    Args:
        path: per_image.parquet. frame_ids: of the part's images. labels: of the dataset.

    Raises:
        InputError: naming the file, if it is missing or no table, lacks a column, holds other images than the part, an image twice, or
        what no measurement gives: a label the dataset does not have, more pixels in both masks than in one, a distance that is none.
    """
    if not path.is_file():
        raise InputError(f"{path}: missing. {_AGAIN}")
    try:
        rows = read_table(path)
    except InputError as error:
        raise InputError(f"{error} {_AGAIN}") from None
    lacks = _lacking_columns(rows, labels)
    if lacks:
        more = f" and {len(lacks) - 5} others" if len(lacks) > 5 else ""
        raise InputError(
            f"{path}: lacks the column(s) {', '.join(lacks[:5])}{more}; another version wrote it. {_AGAIN}"
        )
    _check_types(path, rows)
    odd = set(rows["frame_id"]) ^ set(frame_ids)
    if odd:
        whose = "of another dataset, or of another build of it" if odd - set(frame_ids) else "lacking"
        raise InputError(
            f"{path}: the image {min(odd)!r} is {whose}; {len(frame_ids):,} test images were expected. {_AGAIN}"
        )
    twice = rows.duplicated(["frame_id", *(CONDITION if CONDITION[0] in rows else [])])
    if twice.any():
        raise InputError(f"{path}: the image {rows.loc[twice, 'frame_id'].iloc[0]!r} is there twice. {_AGAIN}")
    _check_numbers(path, rows, labels)
    return rows


def _lacking_columns(rows: pd.DataFrame, labels: LabelSet) -> list[str]:
    """What rows need and lack. Activities and masks are there as a whole or not at all; conditions likewise; which pixels are taken
    for which is kept of images as they are alone."""
    classes, expected = range(len(labels.classes)), ["frame_id", "sequence"]
    if any(str(name).startswith("activity_") for name in rows):
        expected += ["activity_true", "activity_predicted"]
    if any(name in rows for name in CONDITION):
        expected += CONDITION
    if any(
        str(name).startswith((*(f"{kind}_" for kind in COUNTED), *(kind for _, kind in _VALUES), "row_hd"))
        for name in rows
    ):
        expected += [f"{kind}_{i}" for kind in COUNTED for i in classes]
        expected += [f"{kind}{i}" for _, kind in _VALUES for i in classes[1:]]
        expected += ["row_hd", "label_map_ssim"]
        if CONDITION[0] not in rows:
            expected += [f"pixels_{i}_{j}" for i in classes for j in classes]
    return [name for name in expected if name not in rows]


def _check_types(path: Path, rows: pd.DataFrame) -> None:
    """See that names are texts and everything else is numbers."""
    for name in rows:
        text = name in ("frame_id", "sequence", "corruption")
        fine = pd.api.types.is_string_dtype(rows[name]) if text else pd.api.types.is_numeric_dtype(rows[name])
        if not fine or (text and not rows[name].map(lambda value: isinstance(value, str)).all()):
            raise InputError(
                f"{path}: the column {name} is of {rows[name].dtype}; expected {'text' if text else 'numbers'}. {_AGAIN}"
            )


def _check_numbers(path: Path, rows: pd.DataFrame, labels: LabelSet) -> None:
    limits = {"activity_true": len(labels.activities), "activity_predicted": len(labels.activities)}
    counts = [name for name in rows if str(name).startswith((*(f"{kind}_" for kind in COUNTED), "pixels_"))]
    for name in [*(name for name in limits if name in rows), *counts]:
        values = rows[name].to_numpy(np.float64)
        fine = (
            np.isfinite(values)
            & (values >= 0)
            & (values < limits.get(str(name), np.inf))
            & (values == np.floor(values))
        )
        _check_all(path, rows, str(name), fine)
    for name, highest in (("activity_confidence", 1), ("row_hd", np.inf)):
        if name in rows:
            values = rows[name].to_numpy(np.float64)
            _check_all(path, rows, name, np.isfinite(values) & (values >= 0) & (values <= highest))
    for i in range(len(labels.classes)) if "truth_0" in rows else ():
        both, truth, predicted = (rows[f"{kind}_{i}"].to_numpy(np.float64) for kind in COUNTED)
        _check_all(path, rows, f"both_{i}", both <= np.minimum(truth, predicted))
        for one, kind in _VALUES if i else ():
            values, there = rows[f"{kind}{i}"].to_numpy(np.float64), truth + predicted > 0
            known = np.isfinite(values) & (values >= one.lowest) | (np.isnan(values) & (not one.always))
            _check_all(path, rows, f"{kind}{i}", np.where(there, known, np.isnan(values)))


def _check_all(path: Path, rows: pd.DataFrame, name: str, fine: NDArray[np.bool_]) -> None:
    if not fine.all():
        row = rows.iloc[int(fine.argmin())]
        raise InputError(f"{path}: {name} of the image {row['frame_id']!r} is {row[name]}. {_AGAIN}")
