"""What is kept of one image, and from the rows of many their scores, in either protocol: no score needs the model again.

A row holds activity_true, activity_predicted and activity_confidence (where activities are told) and what `measure_mask` gives
(where there is a mask). Rows are protocol-free: the protocol only says how they are summed up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from endoarss.metrics.calibration import expected_calibration_error
from endoarss.metrics.classification import evaluate_classification
from endoarss.metrics.protocol import PUBLISHED, STANDARD, check_protocol
from endoarss.metrics.published import label_map_ssim, row_hd, spread_of_accuracy, spread_of_iou
from endoarss.metrics.segmentation import confusion_of_pixels, pixel_counts, scores_from_counts
from endoarss.metrics.structural import class_structural_similarity
from endoarss.metrics.surface import surface_distances

COUNTS = ("both", "truth", "predicted")
# Of one class in one image; NaN where it is in neither mask.
OF_CLASSES = ("hd", "hd95", "assd", "ssim")

Score = dict[str, Any]
_Add = Callable[..., None]


def measure_mask(truth: NDArray[np.uint8], predicted: NDArray[np.uint8], classes: int) -> dict[str, float]:
    """What is kept of one predicted mask (H, W), uint8; what is predicted where the truth is `IGNORED` changes nothing of it.

    Returns:
        both_<i>, truth_<i>, predicted_<i>: pixels of each class. hd_<i>, hd95_<i>, assd_<i> (pixels) and ssim_<i> of each class but the
        background, NaN for a class in neither mask. row_hd, label_map_ssim: see `metrics.published`.
    """
    row = count_mask(truth, predicted, classes)
    distances = surface_distances(truth, predicted, classes)
    similarity = class_structural_similarity(truth, predicted, classes)
    found = {"hd": distances.hd, "hd95": distances.hd95, "assd": distances.assd, "ssim": similarity}
    row |= {f"{kind}_{i}": float(found[kind][i]) for kind in OF_CLASSES for i in range(1, classes)}
    return row | {"row_hd": row_hd(truth, predicted), "label_map_ssim": label_map_ssim(truth, predicted)}


def count_mask(truth: NDArray[np.uint8], predicted: NDArray[np.uint8], classes: int) -> dict[str, float]:
    """The pixels of each class alone: all that mIoU and Dice need."""
    counts = pixel_counts(truth, predicted, classes)
    return {f"{kind}_{i}": int(counts[k, i]) for k, kind in enumerate(COUNTS) for i in range(classes)}


def confuse_mask(truth: NDArray[np.uint8], predicted: NDArray[np.uint8], classes: int) -> dict[str, float]:
    """pixels_<i>_<j>: how many pixels of class i are predicted as class j."""
    confusion = confusion_of_pixels(truth, predicted, classes)
    return {f"pixels_{i}_{j}": int(confusion[i, j]) for i in range(classes) for j in range(classes)}


def scores_of_rows(
    rows: Mapping[str, NDArray[Any]], classes: Sequence[str], activities: Sequence[str], protocol: str = STANDARD
) -> list[Score]:
    """The scores of many images from their rows.

    Args:
        rows: columns of equal length N > 0. classes: names, the background first. activities: names. protocol: how to sum up.

    Returns:
        Dicts of metric, class ("" for all), value (None where it is not defined) and n (images; for a class those that have it).
        Standard: accuracy, macro_f1, ece, modal_share, predictions_without_support, and precision, recall, f1 of each activity; miou, dice,
        miou_foreground, dice_foreground, and iou, dice, pixel_precision, pixel_recall of each class; hd, hd95, assd (pixels) and ssim:
        of each class the mean over the images where it is in truth or prediction, and their mean over the foreground classes
        with truth; surface_missing: how often a class is in one of the two only, and its distance the image's diagonal.
        Published: accuracy (precision_eps), macro_f1 (f_eps), miou, dice (absent_zero), hd (row_hd), ssim (label_map), accuracy_spread and
        miou_spread (over_classes), and of each activity and class the same as above: precision, recall, f1, iou and dice with epsilons.

    Raises:
        ValueError: if there is no row, or a label or count is not a whole number of at least 0.
        UnknownNameError: if the protocol is not known.
    """
    check_protocol(protocol)
    size = len(next(iter(rows.values()), ()))
    if size == 0:
        raise ValueError("no row to score.")
    scores: list[Score] = []

    def add(metric: str, value: float, name: str = "", n: int = size) -> None:
        scores.append({"metric": metric, "class": name, "value": None if np.isnan(value) else float(value), "n": n})

    if "activity_true" in rows:
        _add_activities(add, rows, activities, protocol)
    if "truth_0" in rows:
        _add_masks(add, rows, classes, protocol)
    if protocol == PUBLISHED and "activity_true" in rows and "truth_0" in rows:
        pixels = sum(_whole(rows, f"truth_{i}") for i in range(len(classes)))
        backgrounds = np.stack([*(_whole(rows, f"{kind}_0") for kind in COUNTS), pixels], axis=1)
        add("miou_spread", spread_of_iou(backgrounds, _whole(rows, "activity_true"), len(activities)))
    return scores


def counts_of_rows(rows: Mapping[str, NDArray[Any]], classes: int) -> NDArray[np.int64]:
    """Pixels in both masks, in truth, in prediction, of each image and class: (N, 3, C)."""
    return np.stack([[_whole(rows, f"{kind}_{i}") for i in range(classes)] for kind in COUNTS]).transpose(2, 0, 1)


def _whole(rows: Mapping[str, NDArray[Any]], column: str) -> NDArray[np.int64]:
    values = np.asarray(rows[column], np.float64)
    wrong = ~(np.isfinite(values) & (values >= 0) & (values == np.floor(values)))
    if wrong.any():
        raise ValueError(
            f"{column} of row {int(wrong.argmax())} is {values[wrong][0]}; expected a whole number from 0 on."
        )
    return values.astype(np.int64)


def _add_activities(add: _Add, rows: Mapping[str, NDArray[Any]], names: Sequence[str], protocol: str) -> None:
    truth, answers = _whole(rows, "activity_true"), _whole(rows, "activity_predicted")
    found = evaluate_classification(truth, answers, len(names), protocol)
    add("accuracy", found.accuracy)
    add("macro_f1", found.macro_f1)
    if protocol == PUBLISHED:
        add("accuracy_spread", spread_of_accuracy(found.confusion))
    else:
        if "activity_confidence" in rows:
            add("ece", expected_calibration_error(rows["activity_confidence"], truth == answers))
        add("modal_share", float(np.bincount(answers).max() / len(answers)))
        add("predictions_without_support", found.predictions_without_support)
    for index, name in enumerate(names):
        for metric in ("precision", "recall", "f1"):
            add(metric, float(getattr(found, metric)[index]), name, int(found.support[index]))


def _add_masks(add: _Add, rows: Mapping[str, NDArray[Any]], names: Sequence[str], protocol: str) -> None:
    counts = counts_of_rows(rows, len(names))
    found = scores_from_counts(counts.sum(axis=0), protocol)
    for metric in ("miou", "dice") if protocol == PUBLISHED else ("miou", "dice", "miou_foreground", "dice_foreground"):
        add(metric, getattr(found, metric))
    with_class = (counts[:, 1] > 0).sum(axis=0)
    per_class = {
        "iou": found.iou,
        "dice": found.dice_per_class,
        "pixel_precision": found.precision,
        "pixel_recall": found.recall,
    }
    for metric, values in per_class.items():
        for index, name in enumerate(names):
            add(metric, float(values[index]), name, int(with_class[index]))
    if "row_hd" not in rows:
        return
    if protocol == PUBLISHED:
        seen = counts[:, 1].any(axis=1)  # of an image of ignored pixels alone there is none
        add("hd", float(np.mean(rows["row_hd"][seen])), n=int(seen.sum()))
        known = rows["label_map_ssim"][np.isfinite(rows["label_map_ssim"])]
        add("ssim", float(known.mean()) if known.size else np.nan, n=int(known.size))
        return
    if len(names) > 1:
        for kind in OF_CLASSES:
            _add_per_class(add, kind, rows, names, with_class)
    missing = (counts[:, 1, 1:] > 0) != (counts[:, 2, 1:] > 0)
    add("surface_missing", int(missing.sum()))
    for index, name in enumerate(names[1:]):
        add("surface_missing", int(missing[:, index].sum()), name)


def _add_per_class(
    add: _Add, kind: str, rows: Mapping[str, NDArray[Any]], names: Sequence[str], with_class: NDArray[np.int64]
) -> None:
    """The mean of each foreground class over the images that have it, and the mean of those with truth."""
    values = np.stack([rows[f"{kind}_{i}"] for i in range(1, len(names))], axis=1)
    known = np.isfinite(values)
    images = known.sum(axis=0)
    means = np.divide(
        np.where(known, values, 0).sum(axis=0), images, out=np.full(len(images), np.nan), where=images > 0
    )
    of_truth = means[(with_class[1:] > 0) & (images > 0)]
    add(kind, float(of_truth.mean()) if of_truth.size else np.nan)
    for index, name in enumerate(names[1:]):
        add(kind, float(means[index]), name, int(images[index]))
