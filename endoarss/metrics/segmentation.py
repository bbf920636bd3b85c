"""mIoU and Dice of masks, computed from one global count of pixels over all evaluated images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from endoarss.arrays import to_mask
from endoarss.metrics import counts
from endoarss.metrics.authors_code import dice_absent_zero, iou_absent_zero
from endoarss.metrics.ignored import leave_out_ignored
from endoarss.metrics.protocol import AUTHORS_CODE, STANDARD, check_protocol


@dataclass(frozen=True)
class SegmentationScores:
    """Scores of C classes in [0, 1]; class 0 is the background.

    Means are over the classes with ground truth. Under the protocol "authors_code" they are over all classes, and a class without ground
    truth counts as 0.

    Attributes:
        miou: the mean IoU, background included.
        dice: the mean Dice, background included.
        miou_foreground: the mean IoU without the background; standard: NaN without foreground in the ground truth.
        dice_foreground: the mean Dice without the background; standard: NaN without foreground in the ground truth.
        iou: (C,), the IoU of each class; standard: NaN for a class without ground truth.
        dice_per_class: (C,), the Dice of each class; standard: NaN for a class without ground truth.
        precision: (C,), the pixel precision of each class; NaN for a class without ground truth, or without predictions.
        recall: (C,), the pixel recall of each class; NaN for a class without ground truth.
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
    """Return the confusion matrix of pixels (C, C); rows are the ground truth. Ignored pixels are not counted.

    Args:
        truth: uint8 masks (..., H, W), values 0 to classes - 1, or `IGNORED`.
        prediction: uint8 masks of equal shape, values 0 to classes - 1.
        classes: the number of classes C, background included.

    Returns:
        int64 (C, C), the number of pixels.

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
    """Return the pixels of each class in one or many masks. Ignored pixels are not counted.

    Args:
        truth: integer masks (..., H, W), values 0 to classes - 1, or `IGNORED`.
        prediction: integer masks of equal shape, values 0 to classes - 1.
        classes: the number of classes C, background included.

    Returns:
        int64 (3, C): for each class the pixels in both masks, in the ground truth, and in the prediction.

    Raises:
        ValueError: if the shapes differ, a mask does not hold integers, or a value lies outside the classes.
    """
    true, predicted, ignored = leave_out_ignored(to_mask(truth), to_mask(prediction), classes)
    _check(true, predicted, classes)
    both = np.bincount(true[true == predicted].ravel(), minlength=classes)
    in_truth = np.bincount(true.ravel(), minlength=classes)
    in_prediction = np.bincount(predicted.ravel(), minlength=classes)
    pixels = np.stack([both, in_truth, in_prediction]).astype(np.int64)
    pixels[:, 0] -= _count(ignored)
    return pixels


def _count(ignored: NDArray[np.bool_] | None) -> int:
    """Return the number of ignored pixels, which are background in both masks."""
    return 0 if ignored is None else int(np.count_nonzero(ignored))


def _check(truth: NDArray[np.uint8], prediction: NDArray[np.uint8], classes: int) -> None:
    """Raise ValueError unless both masks are integers of equal shape within the classes."""
    for mask in (truth, prediction):
        if mask.dtype.kind not in "iub":
            raise ValueError(
                f"mask of shape {mask.shape} and type {mask.dtype}; expected integers. For logits or probabilities (N, C, H, W), "
                "pass argmax(1)."
            )
    if truth.shape != prediction.shape:
        raise ValueError(f"masks of shapes {truth.shape} and {prediction.shape}; expected equal shapes.")
    for mask in (truth, prediction):
        lowest = int(mask.min()) if mask.size and mask.dtype.kind == "i" else 0
        if mask.size and (lowest < 0 or int(mask.max()) >= classes):
            raise ValueError(f"some mask values are outside 0..{classes - 1}.")


def scores_from_counts(pixels: NDArray[np.int64], protocol: str = STANDARD) -> SegmentationScores:
    """Return the scores of pixel counts.

    Args:
        pixels: (3, C), from `pixel_counts`, summed over images as needed.
        protocol: "standard" or "authors_code".

    Returns:
        The scores, in [0, 1].

    Raises:
        ValueError: if no pixel was counted, or a count is not an integer of at least 0.
        UnknownNameError: if the protocol is not known.
    """
    check_protocol(protocol)
    class_counts = np.asarray(pixels, np.float64)
    if not (np.isfinite(class_counts) & (class_counts >= 0) & (class_counts == np.floor(class_counts))).all():
        raise ValueError("some counts are not integers of at least 0.")
    if class_counts[1].sum() == 0:
        raise ValueError("no pixel was counted; expected masks with pixels that are not ignored.")
    if protocol == AUTHORS_CODE:
        iou, dice = iou_absent_zero(class_counts), dice_absent_zero(class_counts)
    else:
        iou, dice = counts.iou(class_counts), counts.dice(class_counts)
    return SegmentationScores(
        miou=float(counts.mean_of_known(iou)),
        dice=float(counts.mean_of_known(dice)),
        miou_foreground=float(counts.mean_of_known(iou[1:])),
        dice_foreground=float(counts.mean_of_known(dice[1:])),
        iou=iou,
        dice_per_class=dice,
        precision=counts.precision(class_counts),
        recall=counts.recall(class_counts),
    )


def evaluate_segmentation(
    truth: ArrayLike, prediction: ArrayLike, classes: int, protocol: str = STANDARD
) -> SegmentationScores:
    """Return the scores of the masks of a test set, computed from one count over all of its pixels.

    Args:
        truth: integer masks (N, H, W), as an array or a torch tensor on any device, values 0 (the background) to classes - 1, or
            `IGNORED` for pixels to leave out.
        prediction: integer masks (N, H, W), values 0 to classes - 1.
        classes: the number of classes C, background included.
        protocol: "standard", or "authors_code" for what the authors' code computes (see `metrics.authors_code`).

    Returns:
        The scores, in [0, 1].

    Raises:
        ValueError: if the shapes differ, a mask does not hold integers, a value lies outside the classes, or no pixel was counted.
        UnknownNameError: if the protocol is not known.
    """
    check_protocol(protocol)
    return scores_from_counts(pixel_counts(truth, prediction, classes), protocol)
