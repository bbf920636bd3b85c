"""The expected calibration error against a loop over its bins, and its edge cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endoarss.metrics import expected_calibration_error

PAIRS = st.lists(st.tuples(st.floats(0, 1, width=32), st.booleans()), min_size=1, max_size=60)


def of_bins(confidence: np.ndarray, correct: np.ndarray, bins: int) -> float:
    """Guo et al. 2017, eq. 3, bin by bin; 0 lies in the first."""
    total = 0.0
    for index in range(bins):
        low, high = index / bins, (index + 1) / bins
        within = (confidence > low) & (confidence <= high) if index else confidence <= high
        if within.any():
            total += within.sum() * abs(correct[within].mean() - confidence[within].mean())
    return total / len(confidence)


@settings(max_examples=150, deadline=None)
@given(PAIRS, st.integers(1, 20))
def test_against_a_loop_over_bins(pairs: list[tuple[float, bool]], bins: int) -> None:
    confidence, correct = (np.array(column) for column in zip(*pairs, strict=True))
    edge = np.abs(confidence * bins - np.rint(confidence * bins)) < 1e-9
    confidence = np.where(edge & (confidence > 0), confidence - 1e-6, confidence).clip(
        0, 1
    )  # edges are a matter of rounding
    found = expected_calibration_error(confidence, correct, bins)
    assert found == pytest.approx(of_bins(confidence, correct, bins), abs=1e-12)
    assert 0 <= found <= 1


def test_known_values() -> None:
    assert expected_calibration_error([1.0, 1.0], [True, True]) == 0
    assert expected_calibration_error([1.0, 1.0], [False, False]) == 1
    assert expected_calibration_error([0.8] * 10, [True] * 8 + [False] * 2) == pytest.approx(0)
    assert expected_calibration_error([0.8] * 10, [True] * 5 + [False] * 5) == pytest.approx(0.3)
    assert expected_calibration_error([0.9, 0.1], [False, True], bins=2) == pytest.approx(0.9)


def test_one_bin_sees_means_alone() -> None:
    assert expected_calibration_error([0.9, 0.1], [False, True], bins=1) == pytest.approx(0)


def test_the_order_of_images_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    confidence, correct, order = rng.random(200), rng.random(200) < 0.5, rng.permutation(200)
    shuffled = expected_calibration_error(confidence[order], correct[order])
    assert shuffled == pytest.approx(expected_calibration_error(confidence, correct), rel=1e-12)


@pytest.mark.parametrize("wrong", [[-0.1], [1.1], [np.nan], [np.inf]])
def test_a_confidence_outside_0_to_1_is_named(wrong: list[float]) -> None:
    with pytest.raises(ValueError, match=r"outside 0\.\.1"):
        expected_calibration_error(wrong, [True])


@pytest.mark.parametrize(("confidence", "correct"), [([], []), ([0.5], []), ([[0.5]], [[True]])])
def test_other_shapes_are_named(confidence: list[object], correct: list[object]) -> None:
    with pytest.raises(ValueError, match=r"expected the same shape \(N,\), N > 0"):
        expected_calibration_error(confidence, correct)  # type: ignore[arg-type]


def test_a_confidence_on_an_edge_belongs_to_the_bin_below() -> None:
    assert expected_calibration_error([0.5, 0.25], [True, False], bins=2) == pytest.approx(0.125)
