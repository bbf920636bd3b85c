"""Rows of measurements, one row per image. The scores of both protocols are computed from saved rows, without the model.

The columns of a row are activity_true, activity_predicted and activity_confidence (if activities are predicted), and those of
`measure_mask` (if there is a mask). Rows do not depend on the protocol, which only decides how they are summed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from endoarss.arrays import to_mask
from endoarss.metrics.authors_code import label_map_ssim, row_hd
from endoarss.metrics.catalogue import MEASUREMENTS, METRICS, Shown, shown_metrics
from endoarss.metrics.counts import COUNTED, LABEL_MAP_SSIM, PIXELS, ROW_HD, Array, in_truth
from endoarss.metrics.protocol import STANDARD, check_protocol
from endoarss.metrics.row_counts import counts_of_rows
from endoarss.metrics.segmentation import confusion_of_pixels, pixel_counts

Score = dict[str, Any]


def measure_mask(truth: ArrayLike, predicted: ArrayLike, classes: int) -> dict[str, float]:
    """Return the row of one predicted mask; predictions where the ground truth is `IGNORED` do not change it.

    Args:
        truth: integers (H, W), an array or a torch tensor.
        predicted: integers (H, W), an array or a torch tensor.
        classes: the number of classes C, background included.

    Returns:
        both_<i>, truth_<i>, predicted_<i>: the pixels of each class. <name>_<i> for each name in `MEASUREMENTS` and each class except the
        background, NaN for a class in neither mask. row_hd and label_map_ssim, see `metrics.authors_code`.

    Raises:
        ValueError: if a mask does not hold integers (H, W), the shapes differ, there is no pixel, or a value lies outside the classes.
    """
    truth, predicted = to_mask(truth), to_mask(predicted)
    row = count_mask(truth, predicted, classes)
    for measurement in MEASUREMENTS:
        values = measurement.measure(truth, predicted, classes)
        for name, of_classes in zip(measurement.names, values, strict=True):
            row |= {f"{name}_{i}": float(of_classes[i]) for i in range(1, classes)}
    return row | {ROW_HD: row_hd(truth, predicted), LABEL_MAP_SSIM: label_map_ssim(truth, predicted)}


def count_mask(truth: NDArray[np.uint8], predicted: NDArray[np.uint8], classes: int) -> dict[str, float]:
    """Return only the numbers of pixels of each class, which are enough for mIoU and Dice.

    Args:
        truth: uint8 (H, W).
        predicted: uint8 (H, W).
        classes: the number of classes C, background included.

    Returns:
        both_<i>, truth_<i>, predicted_<i>: the pixels of each class.

    Raises:
        ValueError: if the shapes differ, a mask does not hold integers, or a value lies outside the classes.
    """
    counts = pixel_counts(truth, predicted, classes)
    return {f"{kind}_{i}": int(counts[k, i]) for k, kind in enumerate(COUNTED) for i in range(classes)}


def confuse_mask(truth: NDArray[np.uint8], predicted: NDArray[np.uint8], classes: int) -> dict[str, float]:
    """Return how many pixels of each class are predicted as each class.

    Args:
        truth: uint8 (H, W).
        predicted: uint8 (H, W).
        classes: the number of classes C, background included.

    Returns:
        pixels_<i>_<j>: the pixels of class i that are predicted as class j.

    Raises:
        ValueError: if the shapes differ, a mask does not hold integers, or a value lies outside the classes.
    """
    confusion = confusion_of_pixels(truth, predicted, classes)
    return {f"pixels_{i}_{j}": int(confusion[i, j]) for i in range(classes) for j in range(classes)}


def scores_of_rows(
    rows: Mapping[str, NDArray[Any]], classes: Sequence[str], activities: Sequence[str], protocol: str = STANDARD
) -> list[Score]:
    """Return the scores of many images from their rows.

    Args:
        rows: columns of equal length N > 0.
        classes: the names of the classes, the background first.
        activities: the names of the activities.
        protocol: "standard" or "authors_code".

    Returns:
        One dict per score: metric, class ("" for all), value (None if it is not defined) and n, the number of images. For a class or an
        activity, n is the number of images that have it or have a value for it. Metrics of `METRICS[protocol]` whose columns are not in the
        rows are left out. For each metric, the score of all labels comes first, then the scores of each class or activity.

    Raises:
        ValueError: if there is no row or no pixel, a label or count is not an integer of at least 0, or a label is not one of the
            activities.
        UnknownNameError: if the protocol is not known.
    """
    check_protocol(protocol)
    size = len(next(iter(rows.values()), ()))
    if size == 0:
        raise ValueError("there is no row to score; expected at least one image.")
    metrics = METRICS[protocol]
    of_images = counts_of_rows(rows, len(classes), len(activities), {metric.needs for metric in metrics})
    counts = {name: values.sum(axis=0) for name, values in of_images.items()}
    if PIXELS in counts and not counts[PIXELS][1].any():
        raise ValueError("no pixel was counted; expected masks with pixels that are not ignored.")
    scores: list[Score] = []

    def add(metric: str, name: str, value: float, n: float) -> None:
        scores.append(
            {"metric": metric, "class": name, "value": None if np.isnan(value) else float(value), "n": int(n)}
        )

    for metric in metrics:
        if metric.needs not in counts:
            continue
        needed = counts[metric.needs]
        # The number of images that have each label; for values of whole images, the number that have a value.
        images = in_truth(of_images[PIXELS]).sum(axis=0) if metric.needs == PIXELS else needed[1]
        if metric.whole is not None:
            of_whole = metric.of_labels is None and metric.needs != PIXELS
            add(metric.name, "", float(metric.whole(needed)), images.sum() if of_whole else size)
        if metric.of_labels is not None:
            values, names = metric.of_labels(needed), activities if metric.of_activities else classes
            for name, value, n in zip(names[len(names) - len(values) :], values, images, strict=True):
                add(metric.name, name, float(value), n)
    return scores


def scores_of_images(rows: Mapping[str, NDArray[Any]], classes: int) -> dict[str, Array]:
    """Return the scores of each single image.

    IoU and Dice are means over the classes in the image's ground truth or prediction, so a class that only the prediction has counts as 0.

    Args:
        rows: columns (N,), with masks.
        classes: the number of classes C, background included.

    Returns:
        Arrays (N,) by metric, for the metrics that are shown below an image and whose columns are in the rows; NaN where a score is not
        defined.

    Raises:
        ValueError: if a count is not an integer of at least 0.
    """
    metrics = shown_metrics(Shown.IMAGE)
    of_masks = {name: values for name, values in rows.items() if not name.startswith("activity_")}
    counts = counts_of_rows(of_masks, classes, 0, {metric.needs for metric in metrics.values()})
    scores = {}
    for name, metric in metrics.items():
        score = metric.of_image or metric.whole
        if metric.needs in counts and score is not None:
            scores[name] = score(counts[metric.needs])
    return scores
