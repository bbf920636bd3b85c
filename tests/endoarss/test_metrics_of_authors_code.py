"""What the authors' code computes, against loops over its formulas, scipy, and the values that its tables show."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import directed_hausdorff
from sklearn.metrics import confusion_matrix as confusion_of_scikit_learn

from endoarss.labels import IGNORED
from endoarss.metrics import (
    AUTHORS_CODE,
    confusion_matrix,
    evaluate_classification,
    evaluate_segmentation,
    pixel_counts,
)
from endoarss.metrics.authors_code import (
    EPSILON,
    accuracy_eps,
    dice_absent_zero,
    f_eps,
    image_iou,
    iou_absent_zero,
    precision_eps,
    recall_eps,
    row_hd,
    spread_of_accuracy,
    spread_of_iou,
)
from endoarss.metrics.counts import counts_of_confusion

SEEDS = st.integers(0, 2**32 - 1)


def test_perfect_answers_come_out_below_100() -> None:
    labels = np.repeat(np.arange(12), 33)
    scores = evaluate_classification(labels, labels, 12, AUTHORS_CODE)
    assert round(100 * scores.accuracy, 6) == 100
    assert round(100 * scores.macro_f1, 2) == 99.95
    mask = np.tile(np.arange(4, dtype=np.uint8), (1, 50, 13))
    masks = evaluate_segmentation(mask, mask, 4, AUTHORS_CODE)
    assert 0.99999 < masks.miou < 1 and 0.99999 < masks.dice < 1


def test_accuracy_is_the_column_acc_and_not_the_column_precision() -> None:
    """Of a noisy test they are 56.385 and 56.375; of one without an error 100.00 and 99.9986, and none of them rounds to 99.99."""
    confusion = np.array([[5, 1, 1], [15, 27, 0], [2, 0, 1]])
    truth, prediction = (np.repeat(labels.ravel(), confusion.ravel()) for labels in np.indices((3, 3)))
    scores = evaluate_classification(truth, prediction, 3, AUTHORS_CODE)
    assert round(100 * scores.accuracy, 3) == 56.385
    assert round(100 * scores.precision.mean(), 3) == 56.375
    labels = np.repeat(np.arange(3), 71)
    faultless = evaluate_classification(labels, labels, 3, AUTHORS_CODE)
    assert [round(100 * value, 4) for value in (faultless.accuracy, faultless.precision.mean())] == [100, 99.9986]


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 40), st.integers(1, 6), SEEDS)
def test_ratios_with_epsilon_against_a_loop(count: int, classes: int, seed: int) -> None:
    truth, prediction = np.random.default_rng(seed).integers(0, classes, (2, count))
    confusion = confusion_matrix(truth, prediction, classes)
    np.testing.assert_array_equal(confusion, confusion_of_scikit_learn(truth, prediction, labels=range(classes)))
    counts = counts_of_confusion(confusion)
    for index in range(classes):
        hits = ((truth == index) & (prediction == index)).sum()
        precision = hits / ((prediction == index).sum() + EPSILON)
        recall = hits / ((truth == index).sum() + EPSILON)
        assert precision_eps(counts)[index] == pytest.approx(precision)
        assert accuracy_eps(counts)[index] == pytest.approx(hits / ((prediction == index).sum() + 1e-8))
        assert recall_eps(counts)[index] == pytest.approx(recall)
        assert f_eps(counts)[index] == pytest.approx(2 * precision * recall / (precision + recall + EPSILON))


def test_an_activity_that_never_occurs_counts_zero() -> None:
    labels = np.repeat([0, 1], 50)
    scores = evaluate_classification(labels, labels, 4, AUTHORS_CODE)
    assert scores.accuracy == pytest.approx(0.5, abs=1e-4) and scores.macro_f1 == pytest.approx(0.5, abs=1e-3)
    np.testing.assert_array_equal(scores.f1[2:], 0)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.integers(1, 5), SEEDS)
def test_overlaps_with_epsilon_against_a_loop(count: int, classes: int, seed: int) -> None:
    truth, prediction = np.random.default_rng(seed).integers(0, classes, (2, count, 4, 5), np.uint8)
    scores = evaluate_segmentation(truth, prediction, classes, AUTHORS_CODE)
    iou, dice = [], []
    for index in range(classes):
        one, other = truth == index, prediction == index
        iou.append((one & other).sum() / ((one | other).sum() + EPSILON))
        dice.append(2 * (one & other).sum() / (one.sum() + other.sum() + EPSILON))
    np.testing.assert_allclose(scores.iou, iou)
    np.testing.assert_allclose(scores.dice_per_class, dice)
    assert scores.miou == pytest.approx(np.mean(iou)) and scores.dice == pytest.approx(np.mean(dice))


def test_a_class_without_truth_counts_zero() -> None:
    counts = np.array([[90, 0, 0], [90, 0, 0], [90, 10, 0]])
    np.testing.assert_allclose(iou_absent_zero(counts), [1, 0, 0], atol=1e-4)
    np.testing.assert_allclose(dice_absent_zero(counts), [1, 0, 0], atol=1e-4)
    mask = np.zeros((1, 6, 6), np.uint8)
    assert evaluate_segmentation(mask, mask, 4, AUTHORS_CODE).miou == pytest.approx(0.25, abs=1e-4)


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, IGNORED), SEEDS)
def test_rows_as_points_against_scipy(height: int, width: int, classes: int, seed: int) -> None:
    truth, prediction = np.random.default_rng(seed).integers(0, classes, (2, height, width), np.uint8)
    there, back = (directed_hausdorff(*pair)[0] for pair in ((truth, prediction), (prediction, truth)))
    assert row_hd(truth, prediction) == pytest.approx(max(there, back), rel=1e-12)
    assert row_hd(truth, prediction) == row_hd(prediction, truth) and row_hd(truth, truth) == 0


def test_rows_as_points_do_not_see_where_they_are() -> None:
    """Which is why the paper's HD is no distance of outlines: rows in another order are 0 apart."""
    mask = np.random.default_rng(0).integers(0, 7, (30, 40), np.uint8)
    assert row_hd(mask, mask[::-1]) == 0 == row_hd(mask[:, ::2], mask[::-1, ::2])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 30), st.integers(1, 5), SEEDS)
def test_spread_of_accuracy_against_a_loop(count: int, classes: int, seed: int) -> None:
    truth, prediction = np.random.default_rng(seed).integers(0, classes, (2, count))
    shares = []
    for index in range(classes):
        of_class = prediction[truth == index]
        shares.append((of_class == index).mean() if len(of_class) else 0)
    counts = counts_of_confusion(confusion_matrix(truth, prediction, classes))
    assert spread_of_accuracy(counts) == pytest.approx(np.std(shares))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(1, 4), SEEDS, st.booleans())
def test_spread_of_iou_against_a_loop(count: int, kinds: int, seed: int, empty: bool) -> None:
    rng = np.random.default_rng(seed)
    truth, prediction = rng.integers(0, 3, (2, count, 4, 5), np.uint8)
    if empty:
        truth[0] = prediction[0] = 0
    activities = rng.integers(0, kinds, count)
    of_activity: list[list[float]] = [[] for _ in range(kinds)]
    for one, other, activity in zip(truth > 0, prediction > 0, activities, strict=True):
        of_activity[activity].append((one & other).sum() / (one | other).sum() if (one | other).any() else 1)
    expected = np.std([np.mean(values) if values else 0 for values in of_activity])
    ious = [image_iou(pixel_counts(one, other, 3)) for one, other in zip(truth, prediction, strict=True)]
    values = np.stack([np.bincount(activities, ious, kinds), np.bincount(activities, minlength=kinds)])
    assert spread_of_iou(values) == pytest.approx(expected)
