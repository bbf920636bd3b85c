"""Accuracy, precision, recall and F1 of activities, computed from one confusion matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from endoarss.arrays import to_floats, to_numpy
from endoarss.metrics import counts
from endoarss.metrics.authors_code import accuracy_eps, f_eps, precision_eps, recall_eps
from endoarss.metrics.counts import counts_of_confusion
from endoarss.metrics.protocol import AUTHORS_CODE, STANDARD, check_protocol


@dataclass(frozen=True)
class ClassificationScores:
    """Scores of K classes, in [0, 1].

    Attributes:
        accuracy: the share of correct predictions; under the protocol "authors_code" the mean of `accuracy_eps`.
        macro_f1: the mean F1 over the classes with support; under the protocol "authors_code" the mean of `f_eps`.
        precision: (K,), the precision of each class; standard: NaN for a class without support, or without predictions.
        recall: (K,), the recall of each class; standard: NaN for a class without support.
        f1: (K,), the F1 of each class; standard: NaN for a class without support.
        support: (K,), the number of true labels of each class.
        predictions_without_support: the number of predictions of classes without support.
        confusion: (K, K), the number of predictions; rows are the ground truth.
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
    """Return the confusion matrix (K, K); rows are the ground truth.

    Args:
        truth: integer labels (N,), 0 to classes - 1.
        prediction: integer labels (N,), 0 to classes - 1.
        classes: the number of classes K.

    Returns:
        int64 (K, K), the number of predictions.

    Raises:
        ValueError: if the labels are not two equal, non-empty (N,), are not integers, or lie outside the classes.
    """
    true, predicted = _labels(truth), _labels(prediction)
    if true.shape != predicted.shape or true.ndim != 1 or true.size == 0:
        raise ValueError(f"labels of shapes {true.shape} and {predicted.shape}; expected the same shape (N,), N > 0.")
    if min(true.min(), predicted.min()) < 0 or max(true.max(), predicted.max()) >= classes:
        raise ValueError(f"some labels are outside 0..{classes - 1}, the ids of {classes} classes.")
    return np.bincount(true * classes + predicted, minlength=classes**2).reshape(classes, classes)


def _labels(given: ArrayLike) -> NDArray[np.int64]:
    """Return labels as int64; integers stored as floats are converted, other values raise ValueError."""
    values = to_numpy(given)
    if values.ndim == 2:
        raise ValueError(
            f"labels of shape {values.shape}; expected (N,). For logits or probabilities (N, K), pass argmax(1)."
        )
    if values.dtype.kind not in "iub":
        numbers = to_floats(values, "labels")
        if not (np.isfinite(numbers) & (numbers == np.floor(numbers))).all():
            raise ValueError("some labels are not integers.")
    return values.astype(np.int64)


def evaluate_classification(
    truth: ArrayLike, prediction: ArrayLike, classes: int, protocol: str = STANDARD
) -> ClassificationScores:
    """Return the scores of predicted labels.

    Args:
        truth: integer labels (N,), 0 to classes - 1, as an array, a list or a torch tensor on any device.
        prediction: integer labels (N,), as the truth.
        classes: the number of classes K.
        protocol: "standard", or "authors_code" for what the authors' code computes (see `metrics.authors_code`).

    Returns:
        The scores, in [0, 1].

    Raises:
        ValueError: if the labels are not two equal, non-empty (N,), are not integers, or lie outside the classes.
        UnknownNameError: if the protocol is not known.
    """
    check_protocol(protocol)
    confusion = confusion_matrix(truth, prediction, classes)
    label_counts = counts_of_confusion(confusion)
    if protocol == AUTHORS_CODE:
        precision, recall, f1 = precision_eps(label_counts), recall_eps(label_counts), f_eps(label_counts)
        accuracy, macro_f1 = accuracy_eps(label_counts).mean(), f1.mean()
    else:
        precision, recall, f1 = counts.precision(label_counts), counts.recall(label_counts), counts.dice(label_counts)
        accuracy, macro_f1 = counts.accuracy(label_counts), counts.mean_dice(label_counts)
    return ClassificationScores(
        accuracy=float(accuracy),
        macro_f1=float(macro_f1),
        precision=precision,
        recall=recall,
        f1=f1,
        support=label_counts[1],
        predictions_without_support=int(counts.without_truth(label_counts)),
        confusion=confusion,
    )
