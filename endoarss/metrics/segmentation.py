"""mIoU and Dice of masks, from one global count of pixels over the evaluated images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from endoarss.arrays import to_mask
from endoarss.metrics import counts
from endoarss.metrics.ignored import leave_out_ignored
from endoarss.metrics.protocol import PUBLISHED, STANDARD, check_protocol
from endoarss.metrics.published import dice_absent_zero, iou_absent_zero


@dataclass(frozen=True)
class SegmentationScores:
    """Scores of C classes in [0, 1]; class 0 is the background.

    Means are over the classes with truth; under the protocol "published" they are over all classes, and those without truth count 0.

    Attributes:
        miou: Mean IoU, background included.
        dice: Mean Dice, background included.
        miou_foreground: Mean IoU without the background; NaN if there is no foreground truth.
        dice_foreground: Mean Dice without the background; NaN if there is no foreground truth.
        iou: (C,), IoU of each class; standard: NaN for a class without truth.
        dice_per_class: (C,), Dice of each class; standard: NaN for a class without truth.
        precision: (C,), precision of the pixels of each class; NaN for a class without truth, or that is never predicted.
        recall: (C,), recall of the pixels of each class; NaN for a class without truth.
    """

    miou: float
    dice: float
    miou_foreground: float
    dice_foreground: float
    iou: NDArray[np.float64]
    dice_per_class: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]


def confusion_of_pixels(truth: ArrayLike, prediction: ArrayLike, classes: int) -> NDArray[np.int64]:
    """Count pixels by truth and prediction: (C, C), rows are the truth. Ignored pixels are not counted.

    Args:
        truth, prediction: uint8 masks of equal shape (..., H, W), values 0 to classes - 1, or `IGNORED` in the truth.

    Raises:
        ValueError: if the shapes differ, a mask does not hold integers, or a value lies outside the classes.
    """
    true, predicted, ignored = leave_out_ignored(to_mask(truth), to_mask(prediction), classes)
    _check(true, predicted, classes)
    pairs = true.astype(np.uint16).ravel() * np.uint16(classes) + predicted.ravel()
    confusion = np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    confusion[0, 0] -= _count(ignored)
    return confusion


def pixel_counts(truth: ArrayLike, prediction: ArrayLike, classes: int) -> NDArray[np.int64]:
    """Count pixels of one or many masks. Ignored pixels are not counted.

    Args:
        truth, prediction: integer masks of equal shape (..., H, W), values 0 to classes - 1, or `IGNORED` in the truth.

    Returns:
        (3, C): for each class the pixels in both, in truth, and in prediction.

    Raises:
        ValueError: if the shapes differ, a mask does not hold integers, or a value lies outside the classes.
    """
    true, predicted, ignored = leave_out_ignored(to_mask(truth), to_mask(prediction), classes)
    _check(true, predicted, classes)
    both = np.bincount(true[true == predicted].ravel(), minlength=classes)
    in_truth = np.bincount(true.ravel(), minlength=classes)
    in_prediction = np.bincount(predicted.ravel(), minlength=classes)
    found = np.stack([both, in_truth, in_prediction]).astype(np.int64)
    found[:, 0] -= _count(ignored)
    return found


def _count(ignored: NDArray[np.bool_] | None) -> int:
    """How many ignored pixels stand as background in both masks."""
    return 0 if ignored is None else int(np.count_nonzero(ignored))


def _check(truth: NDArray[np.uint8], prediction: NDArray[np.uint8], classes: int) -> None:
    for mask in (truth, prediction):
        if mask.dtype.kind not in "iub":
            raise ValueError(
                f"mask of shape {mask.shape} and type {mask.dtype}; expected integers. Of logits or probabilities (N, C, H, W), give "
                "the id of the largest: argmax(1)."
            )
    if truth.shape != prediction.shape:
        raise ValueError(f"masks of shapes {truth.shape} and {prediction.shape}; expected equal ones.")
    for mask in (truth, prediction):
        lowest = int(mask.min()) if mask.size and mask.dtype.kind == "i" else 0
        if mask.size and (lowest < 0 or int(mask.max()) >= classes):
            raise ValueError(f"mask values outside 0..{classes - 1}.")


def scores_from_counts(pixels: NDArray[np.int64], protocol: str = STANDARD) -> SegmentationScores:
    """Return the scores of counts (3, C) as `pixel_counts` gives them, summed over images as wanted.

    Raises:
        ValueError: if no pixel was counted, or a count is not a whole number of at least 0.
        UnknownNameError: if the protocol is not known.
    """
    check_protocol(protocol)
    found = np.asarray(pixels, np.float64)
    if not (np.isfinite(found) & (found >= 0) & (found == np.floor(found))).all():
        raise ValueError("counts that are no whole numbers from 0 on.")
    if found[1].sum() == 0:
        raise ValueError("no pixel was counted.")
    if protocol == PUBLISHED:
        iou, dice = iou_absent_zero(found), dice_absent_zero(found)
    else:
        iou, dice = counts.iou(found), counts.dice(found)
    return SegmentationScores(
        miou=float(counts.mean_of_known(iou)),
        dice=float(counts.mean_of_known(dice)),
        miou_foreground=float(counts.mean_of_known(iou[1:])),
        dice_foreground=float(counts.mean_of_known(dice[1:])),
        iou=iou,
        dice_per_class=dice,
        precision=counts.precision(found),
        recall=counts.recall(found),
    )


def evaluate_segmentation(
    truth: ArrayLike, prediction: ArrayLike, classes: int, protocol: str = STANDARD
) -> SegmentationScores:
    """Score the masks of a test set, from one count over all of its pixels.

    Args:
        truth: Masks (N, H, W) of uint8 or other integers, as an array or a torch tensor on any device; values 0 (the background) to
            classes - 1, or `IGNORED` for pixels that count nowhere.
        prediction: Masks (N, H, W) as the truth, values 0 to classes - 1.
        classes: Number of classes C, background included.
        protocol: "standard", or "published" for what the authors' code computes (see `metrics.published`).

    Returns:
        The scores, in [0, 1].

    Raises:
        ValueError: If the shapes differ, a mask does not hold integers, a value lies outside the classes, or no pixel was counted.
        UnknownNameError: If the protocol is not known.
    """
    check_protocol(protocol)
    return scores_from_counts(pixel_counts(truth, prediction, classes), protocol)
