"""Metrics of torch tensors are, to the bit, those of the same NumPy arrays; what is no label or mask is refused with what to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch

from endoarss.arrays import to_mask, to_numpy
from endoarss.labels import IGNORED
from endoarss.metrics import (
    PROTOCOLS,
    Evaluator,
    class_structural_similarity,
    confusion_matrix,
    evaluate_classification,
    evaluate_segmentation,
    expected_calibration_error,
    surface_distances,
)

CLASSES, ACTIVITIES = ("background", "shaft", "jaw"), ("cut", "grasp", "idle")
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
RNG = np.random.default_rng(0)
TRUTH = RNG.integers(0, 3, (4, 20, 30), np.uint8)
PREDICTED = np.where(RNG.random(TRUTH.shape) < 0.7, TRUTH, RNG.integers(0, 3, TRUTH.shape)).astype(np.uint8)
TRUTH[:, :3] = IGNORED
LABELS, ANSWERS = RNG.integers(0, 3, (2, 12))
PROBABILITIES = RNG.dirichlet(np.ones(3), 4).astype(np.float32)


def assert_equal(found: Any, expected: Any) -> None:
    for name, value in asdict(expected).items():
        np.testing.assert_array_equal(asdict(found)[name], value)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_masks(dtype: torch.dtype, protocol: str, device: str) -> None:
    truth, predicted = (torch.from_numpy(masks).to(device, dtype) for masks in (TRUTH, PREDICTED))
    expected = evaluate_segmentation(TRUTH, PREDICTED, 3, protocol)
    assert 0 < expected.miou < 1
    for given in ((truth, predicted), (TRUTH, predicted), (list(truth), list(predicted))):
        assert_equal(evaluate_segmentation(*given, 3, protocol), expected)


@pytest.mark.parametrize("dtype", [np.bool_, np.int64, np.uint64, np.int8, np.uint16])
def test_masks_of_any_whole_numbers(dtype: type) -> None:
    truth, predicted = TRUTH[:, 3:] > 0, PREDICTED[:, 3:] > 0
    expected = evaluate_segmentation(truth.astype(np.uint8), predicted.astype(np.uint8), 2)
    assert_equal(evaluate_segmentation(truth.astype(dtype), predicted.astype(dtype), 2), expected)
    assert_equal(evaluate_segmentation(torch.from_numpy(truth), torch.from_numpy(predicted), 2), expected)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_labels(protocol: str, device: str) -> None:
    truth, predicted = (torch.from_numpy(labels).to(device) for labels in (LABELS, ANSWERS))
    expected = evaluate_classification(LABELS, ANSWERS, 3, protocol)
    assert 0 < expected.accuracy < 1
    for given in (
        (truth, predicted),
        (truth.float(), predicted),
        (list(truth), list(predicted)),
        (LABELS.tolist(), predicted),
    ):
        assert_equal(evaluate_classification(*given, 3, protocol), expected)
    binary = torch.tensor([True, False]), torch.tensor([True, True])
    np.testing.assert_array_equal(confusion_matrix(*binary, 2), [[0, 1], [0, 1]])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_an_evaluator(dtype: torch.dtype, device: str) -> None:
    arrays, tensors = Evaluator(CLASSES, ACTIVITIES), Evaluator(CLASSES, ACTIVITIES)
    for truth, predicted, label, shares in zip(TRUTH, PREDICTED, LABELS, PROBABILITIES, strict=False):
        arrays.add(mask=(truth, predicted), activity=(int(label), shares))
        one, other = (torch.from_numpy(mask).to(device, dtype) for mask in (truth, predicted))
        tensors.add(
            mask=(one, other), activity=(torch.tensor(label), torch.from_numpy(shares).to(device).requires_grad_())
        )
    for protocol in PROTOCOLS:
        assert tensors.scores(protocol) == arrays.scores(protocol)
    ids = Evaluator((), ACTIVITIES)
    ids.add(activity=(torch.tensor(1), torch.tensor(2)))
    assert ids.rows == [{"activity_true": 1, "activity_predicted": 2}]
    rounded = Evaluator((), ACTIVITIES)
    rounded.add(activity=(0, np.array([1.0000001, 0, 0], np.float32)))  # as a sum in float32 may leave it
    assert rounded.rows[0]["activity_confidence"] == 1


@pytest.mark.parametrize("measure", [surface_distances, class_structural_similarity])
def test_other_metrics(measure: Callable[..., Any]) -> None:
    found = measure(torch.from_numpy(TRUTH[0]), torch.from_numpy(PREDICTED[0]), 3)
    expected = measure(TRUTH[0], PREDICTED[0], 3)
    if measure is surface_distances:
        assert_equal(found, expected)
    else:
        np.testing.assert_array_equal(found, expected)
    confidence, correct = torch.tensor([0.9, 0.6]), torch.tensor([True, False])
    assert expected_calibration_error(confidence, correct) == expected_calibration_error(confidence.numpy(), [1, 0])


@pytest.mark.parametrize("library", [np.asarray, torch.from_numpy])
def test_logits_and_probabilities_are_refused_with_what_to_do(library: Callable[[Any], Any]) -> None:
    scores = library(RNG.random((4, 3, 20, 30), np.float32))
    with pytest.raises(ValueError, match=r"shape \(4, 3, 20, 30\) and type float32; expected integers.*argmax\(1\)"):
        evaluate_segmentation(library(TRUTH), scores, 3)
    with pytest.raises(ValueError, match=r"labels of shape \(4, 3\); expected \(N,\).*argmax\(1\)"):
        evaluate_classification(library(LABELS[:4]), library(PROBABILITIES), 3)
    with pytest.raises(
        ValueError, match=r"probabilities from -3 to 5; expected 0 to 1. For logits, pass their softmax"
    ):
        Evaluator((), ACTIVITIES).add(activity=(0, library(np.array([5.0, -3.0, 1.0]))))
    with pytest.raises(ValueError, match=r"mask of shape \(20, 30\) and type float64; expected integers"):
        Evaluator(CLASSES).add(mask=(library(TRUTH[0]), library(PREDICTED[0].astype(np.float64))))
    with pytest.raises(ValueError, match=r"some mask values are outside 0\.\.2"):
        Evaluator(CLASSES).add(mask=(library(TRUTH[0]), library(PREDICTED[0].astype(np.int64) - 1)))
    with pytest.raises(ValueError, match=r"expected an integer in 0\.\.2"):
        Evaluator((), ACTIVITIES).add(activity=(library(LABELS[:1]), 0))


def test_an_array_is_taken_as_it_is() -> None:
    assert to_numpy(TRUTH) is TRUTH and to_mask(TRUTH) is TRUTH
    half = torch.tensor([0.1, 0.7]).bfloat16()
    np.testing.assert_array_equal(to_numpy(half), half.float().numpy())
    assert to_mask(np.array([0, 255])).dtype == np.uint8 and to_mask(np.array([0, 256])).dtype == np.int64
    assert to_mask(np.array([], np.int64)).dtype == np.uint8
