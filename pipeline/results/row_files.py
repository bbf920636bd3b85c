"""Reads one file of saved rows, and refuses it if a row holds values that no measurement can give."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from endoarss.metrics.catalogue import MEASUREMENTS
from endoarss.metrics.counts import COUNTED
from pipeline.errors import InputError
from pipeline.io.saved_files import read_table
from pipeline.labels.classes import LabelSet

CONDITION = ["corruption", "severity", "mask_warped"]
# Each measurement of classes, with the beginning of its columns.
_MEASURED = [(measurement, f"{name}_") for measurement in MEASUREMENTS for name in measurement.names]
_REMEDY = "Evaluate the cell again, or run snakemake."


def read_rows(path: Path, frame_ids: Sequence[str], labels: LabelSet) -> pd.DataFrame:
    """Read the saved rows of a test split: of the clean images, or of all conditions of a robustness evaluation.

    Args:
        path: per_image.parquet.
        frame_ids: ids of the test images.
        labels: classes and activities of the dataset.

    Raises:
        InputError: if the file is missing or not a table, lacks a column, has other images than the split or one image twice, or holds
            impossible values: an unknown label, more pixels in both masks than in one, an invalid distance.
    """
    if not path.is_file():
        raise InputError(f"{path}: missing. {_REMEDY}")
    try:
        rows = read_table(path)
    except InputError as error:
        raise InputError(f"{error} {_REMEDY}") from None
    missing = _missing_columns(rows, labels)
    if missing:
        more = f" and {len(missing) - 5} others" if len(missing) > 5 else ""
        raise InputError(
            f"{path}: lacks the column(s) {', '.join(missing[:5])}{more}, because another version wrote it. {_REMEDY}"
        )
    _check_types(path, rows)
    differing = set(rows["frame_id"]) ^ set(frame_ids)
    if differing:
        state = "from another dataset or another build of it" if differing - set(frame_ids) else "missing"
        raise InputError(
            f"{path}: the image {min(differing)!r} is {state}; {len(frame_ids):,} test images were expected. {_REMEDY}"
        )
    repeated = rows.duplicated(["frame_id", *(CONDITION if CONDITION[0] in rows else [])])
    if repeated.any():
        raise InputError(f"{path}: the image {rows.loc[repeated, 'frame_id'].iloc[0]!r} occurs twice. {_REMEDY}")
    _check_numbers(path, rows, labels)
    return rows


def _missing_columns(rows: pd.DataFrame, labels: LabelSet) -> list[str]:
    """Return the columns that are missing.

    A file has all columns of activities or none; the same holds for masks and for conditions. Only clean images have confusion counts.
    """
    classes, expected = range(len(labels.classes)), ["frame_id", "sequence"]
    if any(str(name).startswith("activity_") for name in rows):
        expected += ["activity_true", "activity_predicted"]
    if any(name in rows for name in CONDITION):
        expected += CONDITION
    if any(
        str(name).startswith((*(f"{kind}_" for kind in COUNTED), *(kind for _, kind in _MEASURED), "row_hd"))
        for name in rows
    ):
        expected += [f"{kind}_{i}" for kind in COUNTED for i in classes]
        expected += [f"{kind}{i}" for _, kind in _MEASURED for i in classes[1:]]
        expected += ["row_hd", "label_map_ssim"]
        if CONDITION[0] not in rows:
            expected += [f"pixels_{i}_{j}" for i in classes for j in classes]
    return [name for name in expected if name not in rows]


def _check_types(path: Path, rows: pd.DataFrame) -> None:
    """Raise InputError if names are not texts, or if another column does not hold numbers."""
    for name in rows:
        text = name in ("frame_id", "sequence", "corruption")
        valid = isinstance(rows[name].dtype, pd.StringDtype) if text else pd.api.types.is_numeric_dtype(rows[name])
        if not valid or (text and rows[name].hasnans):
            raise InputError(
                f"{path}: the column {name} has the type {rows[name].dtype}; expected {'text' if text else 'numbers'}. {_REMEDY}"
            )


def _check_numbers(path: Path, rows: pd.DataFrame, labels: LabelSet) -> None:
    """Raise InputError if a row holds a number that no measurement can give."""
    limits = {"activity_true": len(labels.activities), "activity_predicted": len(labels.activities)}
    counts = [name for name in rows if str(name).startswith((*(f"{kind}_" for kind in COUNTED), "pixels_"))]
    for name in [*(name for name in limits if name in rows), *counts]:
        values = rows[name].to_numpy(np.float64)
        valid = (
            np.isfinite(values)
            & (values >= 0)
            & (values < limits.get(str(name), np.inf))
            & (values == np.floor(values))
        )
        _check_all(path, rows, str(name), valid)
    for name, highest in (("activity_confidence", 1), ("row_hd", np.inf)):
        if name in rows:
            values = rows[name].to_numpy(np.float64)
            _check_all(path, rows, name, np.isfinite(values) & (values >= 0) & (values <= highest))
    for i in range(len(labels.classes)) if "truth_0" in rows else ():
        both, truth, predicted = (rows[f"{kind}_{i}"].to_numpy(np.float64) for kind in COUNTED)
        _check_all(path, rows, f"both_{i}", both <= np.minimum(truth, predicted))
        for measurement, kind in _MEASURED if i else ():
            values, occurs = rows[f"{kind}{i}"].to_numpy(np.float64), truth + predicted > 0
            possible = np.isfinite(values) & (values >= measurement.lowest) | (
                np.isnan(values) & (not measurement.always)
            )
            _check_all(path, rows, f"{kind}{i}", np.where(occurs, possible, np.isnan(values)))


def _check_all(path: Path, rows: pd.DataFrame, name: str, valid: NDArray[np.bool_]) -> None:
    """Raise InputError that names the first row where the column `name` is not valid."""
    if not valid.all():
        row = rows.iloc[int(valid.argmin())]
        raise InputError(
            f"{path}: {name} of the image {row['frame_id']!r} is {row[name]}, which no measurement can give. {_REMEDY}"
        )
