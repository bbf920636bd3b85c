"""Accuracy, precision, recall and F1 of activities, from one confusion matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from endoarss.arrays import to_numpy
from endoarss.metrics import counts
from endoarss.metrics.counts import counts_of_confusion
from endoarss.metrics.protocol import PUBLISHED, STANDARD, check_protocol
from endoarss.metrics.published import accuracy_eps, f_eps, precision_eps, recall_eps


@dataclass(frozen=True)
class ClassificationScores:
    """Scores of K classes, in [0, 1].

    Attributes:
        accuracy: Share of correct predictions; under the protocol "published" the mean of `accuracy_eps`.
        macro_f1: Mean F1 over the classes with support; under the protocol "published" the mean of `f_eps`.
        precision: (K,), of each class; standard: NaN for a class without support, or that is never predicted.
        recall: (K,), of each class; standard: NaN for a class without support.
        f1: (K,), of each class; standard: NaN for a class without support.
        support: (K,), the number of true labels of each class.
        predictions_without_support: Number of predictions that name a class without support.
        confusion: (K, K), counts of predictions; rows are the truth.
    """

    accuracy: float
    macro_f1: float
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    support: NDArray[np.int64]
    predictions_without_support: int
    confusion: NDArray[np.int64]


def confusion_matrix(truth: ArrayLike, prediction: ArrayLike, classes: int) -> NDArray[np.int64]:
    """Count answers by truth: (K, K), rows are the truth.

    Args:
        truth: Integer labels (N,), 0 to classes - 1.
        prediction: Integer labels (N,), 0 to classes - 1.
        classes: K.

    Raises:
        ValueError: If the labels differ in number, are none, are no whole numbers, or lie outside the classes.
    """
    true, predicted = _labels(truth), _labels(prediction)
    if true.shape != predicted.shape or true.ndim != 1 or true.size == 0:
        raise ValueError(f"labels of shapes {true.shape} and {predicted.shape}; expected two equal, non-empty (N,).")
    if min(true.min(), predicted.min()) < 0 or max(true.max(), predicted.max()) >= classes:
        raise ValueError(f"labels outside 0..{classes - 1}.")
    return np.bincount(true * classes + predicted, minlength=classes**2).reshape(classes, classes)


def _labels(given: ArrayLike) -> NDArray[np.int64]:
    """Labels as integers; whole numbers of another type are such, others are not cut off."""
    values = to_numpy(given)
    if values.ndim == 2:
        raise ValueError(
            f"labels of shape {values.shape}; expected (N,). Of logits or probabilities (N, K), give the id of the largest: argmax(1)."
        )
    if values.dtype.kind not in "iub":
        found = values.astype(np.float64)
        if not (np.isfinite(found) & (found == np.floor(found))).all():
            raise ValueError("labels that are no whole numbers.")
    return values.astype(np.int64)


def evaluate_classification(
    truth: ArrayLike, prediction: ArrayLike, classes: int, protocol: str = STANDARD
) -> ClassificationScores:
    """Score predicted labels.

    Args:
        truth: Integer labels (N,), 0 to classes - 1, as an array, a list or a torch tensor on any device.
        prediction: Integer labels (N,) as the truth.
        classes: Number of classes K.
        protocol: "standard", or "published" for what the authors' code computes (see `metrics.published`).

    Returns:
        The scores, in [0, 1].

    Raises:
        ValueError: If the labels differ in number, are none, are no whole numbers, or lie outside the classes.
        UnknownNameError: If the protocol is not known.
    """
    check_protocol(protocol)
    confusion = confusion_matrix(truth, prediction, classes)
    found = counts_of_confusion(confusion)
    if protocol == PUBLISHED:
        precision, recall, f1 = precision_eps(found), recall_eps(found), f_eps(found)
        accuracy, macro_f1 = accuracy_eps(found).mean(), f1.mean()
    else:
        precision, recall, f1 = counts.precision(found), counts.recall(found), counts.dice(found)
        accuracy, macro_f1 = counts.accuracy(found), counts.mean_dice(found)
    return ClassificationScores(
        accuracy=float(accuracy),
        macro_f1=float(macro_f1),
        precision=precision,
        recall=recall,
        f1=f1,
        support=found[1],
        predictions_without_support=int(counts.without_truth(found)),
        confusion=confusion,
    )
