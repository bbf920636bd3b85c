"""mIoU and Dice of masks, from one global count of pixels over the evaluated images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from endoarss.metrics.protocol import check_protocol


@dataclass(frozen=True)
class SegmentationScores:
    """Scores in [0, 1]. Means are over the classes with truth in the evaluated images.

    miou, dice: background included. miou_foreground, dice_foreground: without it (NaN if there is no foreground truth).
    iou, dice_per_class: (C,), NaN for a class without truth.
    """

    miou: float
    dice: float
    miou_foreground: float
    dice_foreground: float
    iou: NDArray[np.float64]
    dice_per_class: NDArray[np.float64]


def pixel_counts(truth: NDArray[np.uint8], prediction: NDArray[np.uint8], classes: int) -> NDArray[np.int64]:
    """Count pixels of one or many masks.

    Args:
        truth, prediction: integer masks of equal shape (..., H, W), values 0 to classes - 1.

    Returns:
        (3, C): for each class the pixels in both, in truth, and in prediction.

    Raises:
        ValueError: if the shapes differ or a value lies outside the classes.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"masks of shapes {truth.shape} and {prediction.shape}; expected equal ones.")
    if truth.size and max(int(truth.max()), int(prediction.max())) >= classes:
        raise ValueError(f"mask values outside 0..{classes - 1}.")
    both = np.bincount(truth[truth == prediction].ravel(), minlength=classes)
    in_truth = np.bincount(truth.ravel(), minlength=classes)
    in_prediction = np.bincount(prediction.ravel(), minlength=classes)
    return np.stack([both, in_truth, in_prediction]).astype(np.int64)


def scores_from_counts(counts: NDArray[np.int64]) -> SegmentationScores:
    """Scores of counts (3, C) as `pixel_counts` gives them, summed over images as wanted.

    Raises:
        ValueError: if no class has truth.
    """
    both, truth, prediction = counts.astype(np.float64)
    if truth.sum() == 0:
        raise ValueError("no pixel was counted.")
    present = truth > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        iou = np.where(present, both / (truth + prediction - both), np.nan)
        dice = np.where(present, 2 * both / (truth + prediction), np.nan)
    foreground = present.copy()
    foreground[0] = False
    return SegmentationScores(
        miou=float(iou[present].mean()),
        dice=float(dice[present].mean()),
        miou_foreground=float(iou[foreground].mean()) if foreground.any() else float("nan"),
        dice_foreground=float(dice[foreground].mean()) if foreground.any() else float("nan"),
        iou=iou,
        dice_per_class=dice,
    )


def evaluate_segmentation(
    truth: NDArray[np.uint8], prediction: NDArray[np.uint8], classes: int, protocol: str = "standard"
) -> SegmentationScores:
    """Score masks (N, H, W) by one global count; class 0 is the background.

    Raises:
        ValueError: as `pixel_counts` and `scores_from_counts`.
        UnknownNameError: if the protocol is not known.
    """
    check_protocol(protocol)
    return scores_from_counts(pixel_counts(truth, prediction, classes))
