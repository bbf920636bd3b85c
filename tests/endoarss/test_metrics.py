"""Metrics against scikit-learn, and their edge cases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, jaccard_score, precision_score, recall_score
from sklearn.metrics import confusion_matrix as confusion_of_scikit_learn

from endoarss.arrays import to_floats
from endoarss.errors import UnknownNameError
from endoarss.metrics import (
    confusion_matrix,
    confusion_of_pixels,
    evaluate_classification,
    evaluate_segmentation,
    pixel_counts,
    scores_from_counts,
    scores_of_rows,
)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(2, 7), st.integers(0, 2**32 - 1))
def test_classification_against_scikit_learn(count: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, prediction = rng.integers(0, classes, (2, count))
    scores = evaluate_classification(truth, prediction, classes)
    supported = np.unique(truth)
    assert scores.accuracy == pytest.approx(accuracy_score(truth, prediction))
    expected = f1_score(truth, prediction, labels=supported, average="macro", zero_division=0)
    assert scores.macro_f1 == pytest.approx(expected)
    assert scores.support.sum() == count
    assert scores.predictions_without_support == (~np.isin(prediction, supported)).sum()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.integers(2, 6), st.integers(0, 2**32 - 1))
def test_segmentation_against_scikit_learn(count: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, prediction = rng.integers(0, classes, (2, count, 5, 6), np.uint8)
    scores = evaluate_segmentation(truth, prediction, classes)
    present = np.unique(truth)
    iou = jaccard_score(truth.ravel(), prediction.ravel(), labels=present, average=None, zero_division=0)
    dice = f1_score(truth.ravel(), prediction.ravel(), labels=present, average=None, zero_division=0)
    np.testing.assert_allclose(scores.iou[present], iou)
    np.testing.assert_allclose(scores.dice_per_class[present], dice)
    assert scores.miou == pytest.approx(iou.mean()) and scores.dice == pytest.approx(dice.mean())
    foreground = iou[present > 0]
    assert scores.miou_foreground == pytest.approx(foreground.mean() if foreground.size else np.nan, nan_ok=True)
    assert scores.dice <= 2 * scores.miou / (1 + scores.miou) + 1e-12


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_each_activity_against_scikit_learn(count: int, classes: int, seed: int) -> None:
    truth, prediction = np.random.default_rng(seed).integers(0, classes, (2, count))
    scores, labels = evaluate_classification(truth, prediction, classes), list(range(classes))
    np.testing.assert_array_equal(scores.confusion, confusion_of_scikit_learn(truth, prediction, labels=labels))
    true, answered = np.isin(labels, truth), np.isin(labels, prediction)
    options = {"labels": labels, "average": None, "zero_division": 0}
    for found, of_scikit_learn, defined in (
        (scores.precision, precision_score, true & answered),
        (scores.recall, recall_score, true),
        (scores.f1, f1_score, true),
    ):
        expected = of_scikit_learn(truth, prediction, **options)
        np.testing.assert_allclose(found, np.where(defined, expected, np.nan))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_each_class_of_pixels_against_scikit_learn(count: int, classes: int, seed: int) -> None:
    truth, prediction = np.random.default_rng(seed).integers(0, classes, (2, count, 3, 4), np.uint8)
    labels = list(range(classes))
    confusion = confusion_of_pixels(truth, prediction, classes)
    np.testing.assert_array_equal(
        confusion, confusion_of_scikit_learn(truth.ravel(), prediction.ravel(), labels=labels)
    )
    counts = pixel_counts(truth, prediction, classes)
    np.testing.assert_array_equal(counts, [np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)])
    scores = scores_from_counts(counts)
    true, answered = np.isin(labels, truth), np.isin(labels, prediction)
    options = {"labels": labels, "average": None, "zero_division": 0}
    precision = precision_score(truth.ravel(), prediction.ravel(), **options)
    recall = recall_score(truth.ravel(), prediction.ravel(), **options)
    np.testing.assert_allclose(scores.precision, np.where(true & answered, precision, np.nan))
    np.testing.assert_allclose(scores.recall, np.where(true, recall, np.nan))


def test_256_classes_do_not_overflow() -> None:
    truth, prediction = np.random.default_rng(0).integers(0, 256, (2, 30, 30), np.uint8)
    expected = confusion_of_scikit_learn(truth.ravel(), prediction.ravel(), labels=range(256))
    np.testing.assert_array_equal(confusion_of_pixels(truth, prediction, 256), expected)


@pytest.mark.parametrize("given_labels", [[0.5, 1], [np.nan, 1], [np.inf, 1]])
def test_labels_that_are_no_whole_numbers_are_not_cut_off(given_labels: list[float]) -> None:
    with pytest.raises(ValueError, match="not integers"):
        confusion_matrix(given_labels, [0, 1], 2)
    np.testing.assert_array_equal(confusion_matrix([0.0, 1.0], [0, 0], 2), [[1, 0], [1, 0]])


@pytest.mark.parametrize("convert", [list, np.array, lambda names: np.array(names, object)])
def test_names_as_labels_are_refused_with_what_to_do(convert: Callable[[list[str]], Any]) -> None:
    names = convert(["cut", "idle"])
    for truth, prediction in ((names, [0, 1]), ([0, 1], names)):
        with pytest.raises(ValueError, match="labels: cut is not a number; expected integers, such as the position of"):
            evaluate_classification(truth, prediction, 2)
    with pytest.raises(ValueError, match="labels: cut is not a number"):
        to_floats(np.array([1, "cut"], object), "labels")
    with pytest.raises(ValueError, match="activity_true: cut is not a number; expected integers"):
        scores_of_rows({"activity_true": names, "activity_predicted": np.array([0, 1])}, [], ["cut", "idle"])


@pytest.mark.parametrize("wrong", [-1.0, 0.5, np.nan, np.inf])
def test_counts_that_are_no_whole_numbers_are_named(wrong: float) -> None:
    counts = np.ones((3, 4))
    counts[1, 2] = wrong
    with pytest.raises(ValueError, match="not integers of at least 0"):
        scores_from_counts(counts)  # type: ignore[arg-type]


def test_masks_of_other_types_are_named() -> None:
    mask = np.zeros((2, 3), np.int8)
    for count in (pixel_counts, confusion_of_pixels):
        with pytest.raises(ValueError, match="float64; expected integers"):
            count(mask, mask.astype(np.float64), 3)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"outside 0\.\.2"):
            count(mask, mask - 1, 3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no pixel was counted"):
        evaluate_segmentation(np.zeros((0, 4, 4), np.uint8), np.zeros((0, 4, 4), np.uint8), 3)


def test_views_are_counted_as_copies_are() -> None:
    truth, prediction = np.random.default_rng(0).integers(0, 4, (2, 9, 10), np.uint8)
    views = truth[::2, ::-1], prediction[::2, ::-1]
    copies = tuple(view.copy() for view in views)
    np.testing.assert_array_equal(pixel_counts(*views, 4), pixel_counts(*copies, 4))
    np.testing.assert_array_equal(confusion_of_pixels(*views, 4), confusion_of_pixels(*copies, 4))


def test_counts_add_up_over_images() -> None:
    rng = np.random.default_rng(0)
    truth, prediction = rng.integers(0, 4, (2, 6, 9, 9), np.uint8)
    singly = sum(pixel_counts(t, p, 4) for t, p in zip(truth, prediction, strict=True))
    np.testing.assert_array_equal(singly, pixel_counts(truth, prediction, 4))
    assert scores_from_counts(singly).miou == evaluate_segmentation(truth, prediction, 4).miou


def test_a_class_without_truth_does_not_count() -> None:
    truth = np.zeros((1, 4, 4), np.uint8)
    truth[0, :2] = 1
    prediction = truth.copy()
    prediction[0, 3] = 2  # predicted, never true
    scores = evaluate_segmentation(truth, prediction, 4)
    assert np.isnan(scores.iou[2]) and np.isnan(scores.iou[3])
    assert scores.miou == pytest.approx((4 / 8 + 1) / 2)


def test_all_background_has_no_foreground() -> None:
    truth = np.zeros((1, 4, 4), np.uint8)
    assert np.isnan(evaluate_segmentation(truth, truth, 3).miou_foreground)
    truth[0, 0] = 1
    assert evaluate_segmentation(truth, np.zeros_like(truth), 3).miou_foreground == 0


def test_bad_input_is_named() -> None:
    mask = np.zeros((1, 4, 4), np.uint8)
    with pytest.raises(ValueError, match="expected equal shapes"):
        evaluate_segmentation(mask, mask[:, :2], 3)
    with pytest.raises(ValueError, match=r"outside 0\.\.1"):
        evaluate_segmentation(mask + 2, mask, 2)
    with pytest.raises(ValueError, match="expected the same shape"):
        evaluate_classification([], [], 2)
    with pytest.raises(ValueError, match=r"outside 0\.\.1"):
        evaluate_classification([0], [2], 2)
    with pytest.raises(UnknownNameError, match="Known: standard"):
        evaluate_segmentation(mask, mask, 3, protocol="other")
