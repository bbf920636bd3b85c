"""Accuracy, precision, recall and F1 of activities, from one confusion matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from endoarss.metrics import counts
from endoarss.metrics.counts import counts_of_confusion
from endoarss.metrics.protocol import PUBLISHED, STANDARD, check_protocol
from endoarss.metrics.published import accuracy_eps, f_eps, precision_eps, recall_eps


@dataclass(frozen=True)
class ClassificationScores:
    """Scores of K classes, in [0, 1].

    accuracy, macro_f1: of all; under the protocol "published" mean accuracy_eps and mean f_eps. precision, recall, f1: (K,); standard:
    NaN where a class has no support, precision also where it is no answer. support: (K,). predictions_without_support: how
    many answers name a class without support. confusion: (K, K), rows are the truth.
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
        truth, prediction: integer labels (N,), 0 to classes - 1.

    Raises:
        ValueError: if the labels differ in number, are none, are no whole numbers, or lie outside the classes.
    """
    true, predicted = _labels(truth), _labels(prediction)
    if true.shape != predicted.shape or true.ndim != 1 or true.size == 0:
        raise ValueError(f"labels of shapes {true.shape} and {predicted.shape}; expected two equal, non-empty (N,).")
    if min(true.min(), predicted.min()) < 0 or max(true.max(), predicted.max()) >= classes:
        raise ValueError(f"labels outside 0..{classes - 1}.")
    return np.bincount(true * classes + predicted, minlength=classes**2).reshape(classes, classes)


def _labels(given: ArrayLike) -> NDArray[np.int64]:
    """Labels as integers; whole numbers of another type are such, others are not cut off."""
    values = np.asarray(given)
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
        truth, prediction: integer labels (N,), 0 to classes - 1.
        classes: K. protocol: "standard": macro F1 is the mean over the classes with support. "published": see `metrics.published`.

    Raises:
        ValueError: as `confusion_matrix`. UnknownNameError: if the protocol is not known.
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
