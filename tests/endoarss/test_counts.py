"""Every metric as a function of counts: with leading axes against a loop, and by its formula; and what a table of metrics may say."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endoarss.metrics import PROTOCOLS, confusion_matrix, count_mask, pixel_counts, scores_of_images, scores_of_rows
from endoarss.metrics import counts as of
from endoarss.metrics.catalogue import METRICS, Metric, Shown, label_metrics, shown_metrics
from endoarss.metrics.row_counts import counts_of_rows

SEEDS = st.integers(0, 2**32 - 1)
AXES = st.lists(st.integers(1, 3), max_size=3)


def functions() -> list[tuple[str, Callable[..., Any]]]:
    """Every function of every metric."""
    return [
        (f"{protocol} {metric.name} {kind}", getattr(metric, kind))
        for protocol in PROTOCOLS
        for metric in METRICS[protocol]
        for kind in ("whole", "of_labels", "of_image")
        if getattr(metric, kind) is not None
    ]


@settings(max_examples=40, deadline=None)
@given(AXES, st.integers(1, 5), SEEDS)
@pytest.mark.parametrize("compute", [one for _, one in functions()], ids=[name for name, _ in functions()])
def test_leading_axes_are_a_loop(compute: Callable[..., Any], axes: list[int], labels: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    # Few and small numbers, so that labels without truth, without prediction and in neither are all there.
    one, other = rng.integers(0, 3, (2, *axes, labels))
    both = rng.integers(0, np.minimum(one, other) + 1)
    counts = np.stack([both, one, other], axis=-2).astype(np.float64)
    found = compute(counts)
    for place in np.ndindex(*axes):
        np.testing.assert_allclose(found[place], compute(counts[place]), rtol=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.integers(1, 5), SEEDS)
def test_overlaps_against_exact_fractions(images: int, classes: int, seed: int) -> None:
    truth, prediction = np.random.default_rng(seed).integers(0, classes, (2, images, 2, 3), np.uint8)
    counts = pixel_counts(truth, prediction, classes)
    present = [c for c in range(classes) if (truth == c).any()]
    ious, dices = [], []
    for c in present:
        both, union = int(((truth == c) & (prediction == c)).sum()), int(((truth == c) | (prediction == c)).sum())
        ious.append(Fraction(both, union))
        dices.append(Fraction(2 * both, union + both))
    assert of.mean_iou(counts) == pytest.approx(float(sum(ious) / len(ious)))
    assert of.mean_dice(counts) == pytest.approx(float(sum(dices) / len(dices)))
    np.testing.assert_array_equal(np.isnan(of.iou(counts)), [c not in present for c in range(classes)])


def test_activities_are_counted_as_pixels_are() -> None:
    truth, answers = np.random.default_rng(0).integers(0, 4, (2, 30))
    as_masks = pixel_counts(truth.astype(np.uint8)[None, None], answers.astype(np.uint8)[None, None], 4)
    counts = of.counts_of_confusion(confusion_matrix(truth, answers, 4))
    np.testing.assert_array_equal(counts, as_masks)
    assert of.accuracy(counts) == (truth == answers).mean()
    stacked = of.counts_of_confusion(np.stack([confusion_matrix(truth[i::2], answers[i::2], 4) for i in (0, 1)]))
    np.testing.assert_array_equal(stacked.sum(axis=0), counts)


def test_one_image_is_scored_over_the_classes_of_truth_or_prediction() -> None:
    """Class 2 is predicted and not true: it costs the image, and as before no test set."""
    truth = np.array([[0, 0, 1, 1]], np.uint8)
    prediction = np.array([[0, 0, 1, 2]], np.uint8)
    rows = {name: np.array([value]) for name, value in count_mask(truth, prediction, 4).items()}
    image = scores_of_images(rows, 4)
    assert image["miou"] == pytest.approx((1 + 1 / 2 + 0) / 3) and image["dice"] == pytest.approx((1 + 2 / 3 + 0) / 3)
    whole = {s["metric"]: s["value"] for s in scores_of_rows(rows, "abcd", ()) if not s["class"]}
    assert whole["miou"] == pytest.approx((1 + 1 / 2) / 2) and whole["dice"] == pytest.approx((1 + 2 / 3) / 2)


def test_an_image_without_pixels_has_no_score() -> None:
    mask = np.full((2, 2), 255, np.uint8)
    rows = {name: np.array([value]) for name, value in count_mask(mask, mask, 3).items()}
    assert all(np.isnan(values).all() for values in scores_of_images(rows, 3).values())


def test_counts_of_conditions_are_those_of_each_condition() -> None:
    """Rows as (conditions, images): the most frequent answer is that of each condition."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 7)
    rows = {"activity_true": np.stack([truth] * 4), "activity_predicted": rng.integers(0, 3, (4, 7))}
    rows |= {f"{kind}_{i}": rng.integers(0, 9, (4, 7)) for kind in of.COUNTED for i in range(2)}
    rows["hd_1"] = np.where(rng.random((4, 7)) < 0.3, np.nan, rng.random((4, 7)))
    rows["row_hd"] = rows["label_map_ssim"] = rng.random((4, 7))
    together = counts_of_rows(rows, 2, 3)
    assert {"hd", of.PIXELS, of.MODAL, of.IOU_BY_ACTIVITY, of.MISSING} <= set(together) and "ssim" not in together
    for i in range(4):
        alone = counts_of_rows({name: values[i] for name, values in rows.items()}, 2, 3)
        for name, values in together.items():
            np.testing.assert_array_equal(values[i], alone[name])
    assert set(counts_of_rows(rows, 2, 3, {"hd"})) == {"hd"}


def test_every_metric_is_named_once_and_described() -> None:
    for protocol in PROTOCOLS:
        names = [metric.name for metric in METRICS[protocol]]
        assert len(set(names)) == len(names)
        heads = [metric.head for metric in shown_metrics(Shown.TABLES, protocol).values()]
        assert len(set(heads)) == len(heads)
        assert set(label_metrics(True, protocol)) == {"precision", "recall", "f1"}


def test_a_metric_is_not_shown_where_it_means_nothing() -> None:
    with pytest.raises(ValueError, match="metric far: shown in SUMMARY, .* expected a percentage where higher is"):
        Metric("far", "Far", of.PIXELS, of.mean_iou, unit="px")
    with pytest.raises(ValueError, match="metric hits: shown below each IMAGE, .* expected a metric of masks"):
        Metric("hits", "Hits", of.ACTIVITIES, of.accuracy)
    with pytest.raises(ValueError, match="metric share: shown in COMPARED, .* expected higher_is_better True or False"):
        Metric("share", "Share", of.MODAL, of.accuracy, higher_is_better=None, shown=Shown.COMPARED)
