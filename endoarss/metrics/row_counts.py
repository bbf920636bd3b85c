"""Converts saved rows to the counts that metrics take, image by image; the caller sums them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from endoarss.arrays import to_floats
from endoarss.metrics import counts
from endoarss.metrics.authors_code import image_iou
from endoarss.metrics.calibration import calibration_gaps
from endoarss.metrics.catalogue import MEASUREMENTS
from endoarss.metrics.counts import COUNTED, Array

Columns = Mapping[str, NDArray[Any]]


def counts_of_rows(
    rows: Columns, classes: int, activities: int, wanted: Collection[str] | None = None
) -> dict[str, Array]:
    """Return the counts of each image. Counts whose columns are not in the rows are left out.

    Args:
        rows: columns (..., N) of N images under one condition; leading axes are free.
        classes: the number of classes C, background included.
        activities: the number of activities K.
        wanted: the names of the counts to return, see `metrics.counts`; None for all.

    Returns:
        Arrays (..., N, 3, L) or (..., N, 2, L) of L labels, by name. Summed over the N images, they are the arguments of the functions in
        `metrics.catalogue`.

    Raises:
        ValueError: if a label or a count is not an integer of at least 0, or a label is not one of the activities.
    """
    found: dict[str, Array] = {}

    def add(name: str, make: Callable[..., Array], *args: Any) -> None:
        if wanted is None or name in wanted:
            found[name] = make(*args)

    if "activity_true" in rows:
        true, predicted = (_labels(rows, name, activities) for name in ("activity_true", "activity_predicted"))
        add(counts.ACTIVITIES, _activity_counts, true, predicted, activities)
        add(counts.MODAL, _modal, predicted, activities)
        if "activity_confidence" in rows:
            confidence = np.asarray(rows["activity_confidence"], np.float64)
            add(counts.CALIBRATION, calibration_gaps, confidence, true == predicted)
    if "truth_0" not in rows:
        return found
    pixels = _pixels(rows, classes)
    add(counts.PIXELS, lambda: pixels)
    for name in (name for measurement in MEASUREMENTS for name in measurement.names):
        columns = [f"{name}_{i}" for i in range(1, classes)]
        if columns and all(column in rows for column in columns):
            add(name, _values, rows, columns, pixels)
    if "row_hd" in rows:
        add(counts.MISSING, _missing, pixels)
        # An image in which all pixels are ignored has no distance.
        has_pixels = pixels[..., 1, :].any(axis=-1)
        add(counts.ROW_HD, lambda: _image_values(np.where(has_pixels, rows["row_hd"], np.nan)))
        add(counts.LABEL_MAP_SSIM, lambda: _image_values(np.asarray(rows["label_map_ssim"], np.float64)))
    if "activity_true" in rows:
        add(counts.IOU_BY_ACTIVITY, _iou_by_activity, pixels, true, activities)
    return found


def highest_label(rows: Columns, columns: Collection[str]) -> int:
    """Return the highest label in some columns, 0 if there is none.

    Raises:
        ValueError: if a label is not a number.
    """
    return max((int(np.nan_to_num(to_floats(rows[name], name)).max()) for name in columns if name in rows), default=0)


def _integers(rows: Columns, column: str) -> NDArray[np.int64]:
    """Return a column as int64; raise ValueError unless all values are integers of at least 0."""
    values = to_floats(rows[column], column)
    wrong = ~(np.isfinite(values) & (values >= 0) & (values == np.floor(values)))
    if wrong.any():
        raise ValueError(
            f"{column} of row {int(wrong.argmax())} is {values[wrong][0]}; expected an integer of at least 0."
        )
    return values.astype(np.int64)


def _labels(rows: Columns, column: str, activities: int) -> NDArray[np.int64]:
    """Return a column of labels; raise ValueError unless they are activities."""
    values = _integers(rows, column)
    if values.max(initial=0) >= activities:
        raise ValueError(
            f"{column} of row {int(values.argmax())} is {values.max()}; expected an activity in 0..{activities - 1}."
        )
    return values


def _activity_counts(true: NDArray[np.int64], predicted: NDArray[np.int64], activities: int) -> Array:
    """Return the counts of each image's activity: (..., N, 3, K)."""
    in_truth, in_prediction = (labels[..., None] == np.arange(activities) for labels in (true, predicted))
    return np.stack([in_truth & in_prediction, in_truth, in_prediction], axis=-2).astype(np.float64)


def _modal(predicted: NDArray[np.int64], activities: int) -> Array:
    """Return whether an image's predicted activity is the most frequent one of all N images: (..., N, 2, 1)."""
    times = (predicted[..., None] == np.arange(activities)).sum(axis=-2)
    return _image_values((predicted == times.argmax(axis=-1)[..., None]).astype(np.float64))


def _pixels(rows: Columns, classes: int) -> Array:
    """Return the pixel counts of each image: (..., N, 3, C)."""
    columns = [_integers(rows, f"{kind}_{i}") for kind in COUNTED for i in range(classes)]
    stacked = np.stack(columns, axis=-1).astype(np.float64)
    return stacked.reshape(*stacked.shape[:-1], len(COUNTED), classes)


def _values(rows: Columns, columns: list[str], pixels: Array) -> Array:
    """Return the values of a measurement for each foreground class, as `metrics.counts` describes them: (..., N, 3, C - 1)."""
    values = np.stack([np.asarray(rows[column], np.float64) for column in columns], axis=-1)
    known = np.isfinite(values)
    return np.stack([np.where(known, values, 0.0), known, counts.in_truth(pixels)[..., 1:]], axis=-2)


def _image_values(values: Array) -> Array:
    """Return the values of whole images, 0 where not finite, and whether they are finite: (..., N) to (..., N, 2, 1)."""
    known = np.isfinite(values)
    return np.stack([np.where(known, values, 0.0), known], axis=-1)[..., None]


def _missing(pixels: Array) -> Array:
    """Return whether each foreground class is in only one of ground truth and prediction, and the number 1: (..., N, 2, C - 1)."""
    present = pixels[..., 1:, 1:] > 0
    in_one_mask = present[..., 0, :] != present[..., 1, :]
    return np.stack([in_one_mask, np.ones_like(in_one_mask)], axis=-2).astype(np.float64)


def _iou_by_activity(pixels: Array, true: NDArray[np.int64], activities: int) -> Array:
    """Return the foreground IoU of each image, in the entry of its activity, and the number 1 there: (..., N, 2, K)."""
    of_activity = (true[..., None] == np.arange(activities)).astype(np.float64)
    return np.stack([of_activity * image_iou(pixels)[..., None], of_activity], axis=-2)
