"""Accuracy and macro F1 of activities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from endoarss.metrics.protocol import check_protocol


@dataclass(frozen=True)
class ClassificationScores:
    """accuracy and macro F1 in [0, 1]; f1 (K,) with NaN where a class has no support; support (K,); how many predictions
    fell on classes without support."""

    accuracy: float
    macro_f1: float
    f1: NDArray[np.float64]
    support: NDArray[np.int64]
    predictions_without_support: int


def evaluate_classification(
    truth: ArrayLike, prediction: ArrayLike, classes: int, protocol: str = "standard"
) -> ClassificationScores:
    """Score predicted labels.

    Args:
        truth, prediction: integer labels (N,), 0 to classes - 1.
        classes: K. protocol: "standard": macro F1 is the mean over the classes with support.

    Raises:
        ValueError: if the labels differ in number, are none, or lie outside the classes.
        UnknownNameError: if the protocol is not known.
    """
    check_protocol(protocol)
    true, predicted = np.asarray(truth, np.int64), np.asarray(prediction, np.int64)
    if true.shape != predicted.shape or true.ndim != 1 or true.size == 0:
        raise ValueError(f"labels of shapes {true.shape} and {predicted.shape}; expected two equal, non-empty (N,).")
    if min(true.min(), predicted.min()) < 0 or max(true.max(), predicted.max()) >= classes:
        raise ValueError(f"labels outside 0..{classes - 1}.")
    confusion = np.bincount(true * classes + predicted, minlength=classes**2).reshape(classes, classes)
    hits = np.diag(confusion)
    support, predicted_count = confusion.sum(axis=1), confusion.sum(axis=0)
    f1 = np.where(support > 0, 2 * hits / np.maximum(support + predicted_count, 1), np.nan)
    return ClassificationScores(
        accuracy=float(hits.sum() / true.size),
        macro_f1=float(np.nanmean(f1)),
        f1=f1,
        support=support,
        predictions_without_support=int(predicted_count[support == 0].sum()),
    )
