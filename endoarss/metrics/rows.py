"""What is kept of one image, and from the rows of many their scores, in either protocol: no score needs the model again.

A row holds activity_true, activity_predicted and activity_confidence (where activities are told) and what `measure_mask` gives
(where there is a mask). Rows are protocol-free: the protocol only says how they are summed up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from endoarss.metrics.authors_code import label_map_ssim, row_hd
from endoarss.metrics.catalogue import MEASUREMENTS, METRICS, Shown, shown_metrics
from endoarss.metrics.counts import COUNTED, LABEL_MAP_SSIM, PIXELS, ROW_HD, Array, in_truth
from endoarss.metrics.protocol import STANDARD, check_protocol
from endoarss.metrics.row_counts import counts_of_rows
from endoarss.metrics.segmentation import confusion_of_pixels, pixel_counts

Score = dict[str, Any]


def measure_mask(truth: NDArray[np.uint8], predicted: NDArray[np.uint8], classes: int) -> dict[str, float]:
    """Return what is kept of one predicted mask; what is predicted where the truth is `IGNORED` changes nothing of it.

    Args:
        truth, predicted: uint8 (H, W).
        classes: C, the background included.

    Returns:
        both_<i>, truth_<i>, predicted_<i>: pixels of each class. <name>_<i> of each name of `MEASUREMENTS` and each class but the
        background, NaN for a class in neither mask. row_hd, label_map_ssim: see `metrics.authors_code`.
    """
    row = count_mask(truth, predicted, classes)
    for measurement in MEASUREMENTS:
        values = measurement.measure(truth, predicted, classes)
        for name, of_classes in zip(measurement.names, values, strict=True):
            row |= {f"{name}_{i}": float(of_classes[i]) for i in range(1, classes)}
    return row | {ROW_HD: row_hd(truth, predicted), LABEL_MAP_SSIM: label_map_ssim(truth, predicted)}


def count_mask(truth: NDArray[np.uint8], predicted: NDArray[np.uint8], classes: int) -> dict[str, float]:
    """Return the pixels of each class alone: all that mIoU and Dice need."""
    counts = pixel_counts(truth, predicted, classes)
    return {f"{kind}_{i}": int(counts[k, i]) for k, kind in enumerate(COUNTED) for i in range(classes)}


def confuse_mask(truth: NDArray[np.uint8], predicted: NDArray[np.uint8], classes: int) -> dict[str, float]:
    """Return pixels_<i>_<j>: how many pixels of class i are predicted as class j."""
    confusion = confusion_of_pixels(truth, predicted, classes)
    return {f"pixels_{i}_{j}": int(confusion[i, j]) for i in range(classes) for j in range(classes)}


def scores_of_rows(
    rows: Mapping[str, NDArray[Any]], classes: Sequence[str], activities: Sequence[str], protocol: str = STANDARD
) -> list[Score]:
    """Return the scores of many images from their rows.

    Args:
        rows: columns of equal length N > 0.
        classes: names, the background first.
        activities: names.
        protocol: how to sum up.

    Returns:
        Dicts of metric, class ("" for all), value (None where it is not defined) and n (images; for a class those that have it): of every
        metric of `METRICS[protocol]` that the rows have the columns of, first that of all, then those of each class or activity.

    Raises:
        ValueError: if there is no row or no pixel, or a label or count is not a whole number of at least 0.
        UnknownNameError: if the protocol is not known.
    """
    check_protocol(protocol)
    size = len(next(iter(rows.values()), ()))
    if size == 0:
        raise ValueError("no row to score.")
    metrics = METRICS[protocol]
    of_images = counts_of_rows(rows, len(classes), len(activities), {metric.needs for metric in metrics})
    counts = {name: values.sum(axis=0) for name, values in of_images.items()}
    if PIXELS in counts and not counts[PIXELS][1].any():
        raise ValueError("no pixel was counted.")
    scores: list[Score] = []

    def add(metric: str, name: str, value: float, n: float) -> None:
        scores.append(
            {"metric": metric, "class": name, "value": None if np.isnan(value) else float(value), "n": int(n)}
        )

    for metric in metrics:
        if metric.needs not in counts:
            continue
        own = counts[metric.needs]
        # How many images have each label; of values of whole images, how many have one.
        images = in_truth(of_images[PIXELS]).sum(axis=0) if metric.needs == PIXELS else own[1]
        if metric.whole is not None:
            of_whole = metric.of_labels is None and metric.needs != PIXELS
            add(metric.name, "", float(metric.whole(own)), images.sum() if of_whole else size)
        if metric.of_labels is not None:
            values, names = metric.of_labels(own), activities if metric.of_activities else classes
            for name, value, n in zip(names[len(names) - len(values) :], values, images, strict=True):
                add(metric.name, name, float(value), n)
    return scores


def scores_of_images(rows: Mapping[str, NDArray[Any]], classes: int) -> dict[str, Array]:
    """Return the scores of each image by itself.

    Overlaps are means over the classes that the image's truth or its prediction has, so that a class that is predicted wrongly counts 0.

    Args:
        rows: columns (N,), with masks.
        classes: C, the background included.

    Returns:
        By metric that is shown below an image (N,), NaN where it is not defined.
    """
    metrics = shown_metrics(Shown.IMAGE)
    of_masks = {name: values for name, values in rows.items() if not name.startswith("activity_")}
    counts = counts_of_rows(of_masks, classes, 0, {metric.needs for metric in metrics.values()})
    found = {}
    for name, metric in metrics.items():
        score = metric.of_image or metric.whole
        if metric.needs in counts and score is not None:
            found[name] = score(counts[metric.needs])
    return found
