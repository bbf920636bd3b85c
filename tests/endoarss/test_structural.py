"""SSIM of masks against scikit-image, and its edge cases."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import structural_similarity

from endoarss.metrics import class_structural_similarity
from endoarss.metrics.authors_code import label_map_ssim
from endoarss.metrics.structural import WINDOW, mean_structural_similarity

CLASSES = 5


def masks(height: int, width: int, seed: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Truth and prediction (H, W): noise, blocks and a moved copy, or a class in a corner alone."""
    rng = np.random.default_rng(seed)
    if kind == "noise":
        truth, prediction = rng.integers(0, CLASSES, (2, height, width), np.uint8)
        return truth, prediction
    truth = np.zeros((height, width), np.uint8)
    if kind == "corner":
        truth[: rng.integers(1, 4), : rng.integers(1, 4)] = 1
    else:
        small = rng.integers(0, CLASSES, (4, 4), np.uint8)
        truth = cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)
    return truth, np.roll(truth, tuple(rng.integers(-3, 4, 2)), (0, 1))


@settings(max_examples=120, deadline=None)
@given(
    st.integers(WINDOW, 60),
    st.integers(WINDOW, 60),
    st.integers(0, 2**32 - 1),
    st.sampled_from(["noise", "blocks", "corner"]),
)
def test_each_class_against_scikit_image(height: int, width: int, seed: int, kind: str) -> None:
    truth, prediction = masks(height, width, seed, kind)
    found = class_structural_similarity(truth, prediction, CLASSES)
    assert found.shape == (CLASSES,) and np.isnan(found[0])
    for index in range(1, CLASSES):
        one, other = truth == index, prediction == index
        if not (one | other).any():
            assert np.isnan(found[index])
            continue
        expected = structural_similarity(one.astype(float), other.astype(float), data_range=1)
        assert found[index] == pytest.approx(expected, rel=1e-12, abs=1e-12)


@settings(max_examples=80, deadline=None)
@given(
    st.integers(WINDOW, 60),
    st.integers(WINDOW, 60),
    st.integers(0, 2**32 - 1),
    st.sampled_from(["noise", "blocks", "corner"]),
)
def test_label_maps_against_scikit_image(height: int, width: int, seed: int, kind: str) -> None:
    truth, prediction = masks(height, width, seed, kind)
    span = int(prediction.max()) - int(prediction.min())
    found = label_map_ssim(truth, prediction)
    if span == 0:
        assert np.isnan(found)
    else:
        expected = structural_similarity(truth.astype(float), prediction.astype(float), data_range=span)
        assert found == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("size", [(224, 224), (223, 301), (1024, 1280)])
def test_at_the_size_of_frames(size: tuple[int, int]) -> None:
    truth, prediction = masks(*size, seed=0, kind="blocks")
    prediction[::37, ::41] = 2
    found = class_structural_similarity(truth, prediction, CLASSES)
    for index in range(1, CLASSES):
        expected = structural_similarity(
            (truth == index).astype(float), (prediction == index).astype(float), data_range=1
        )
        assert found[index] == pytest.approx(expected, rel=1e-12)


def test_large_class_ids_are_exact() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.integers(200, 256, (2, 40, 50), np.uint8)
    expected = structural_similarity(one.astype(float), other.astype(float), data_range=55)
    assert mean_structural_similarity(one, other, 55) == pytest.approx(expected, rel=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.integers(WINDOW, 40), st.integers(WINDOW, 40), st.integers(0, 2**32 - 1))
def test_symmetric_within_bounds_and_one_for_equal_masks(height: int, width: int, seed: int) -> None:
    truth, prediction = masks(height, width, seed, "noise")
    there, back = (class_structural_similarity(*pair, CLASSES) for pair in ((truth, prediction), (prediction, truth)))
    np.testing.assert_allclose(there, back, rtol=1e-13, atol=1e-15)
    same = class_structural_similarity(truth, truth, CLASSES)
    for index in range(1, CLASSES):
        if (truth == index).any():
            assert same[index] == pytest.approx(1, abs=1e-12) and there[index] <= 1 + 1e-12


def test_a_class_in_neither_mask_is_nan_and_in_one_is_compared_with_nothing() -> None:
    truth, prediction = np.zeros((2, 20, 30), np.uint8)
    truth[5:9, 5:9] = 1
    prediction[5:9, 5:9] = 2
    found = class_structural_similarity(truth, prediction, 4)
    expected = structural_similarity((truth == 1).astype(float), np.zeros(truth.shape), data_range=1)
    assert found[1] == pytest.approx(expected, rel=1e-12) == found[2] and found[1] < 1
    assert np.isnan(found[[0, 3]]).all()


@pytest.mark.parametrize("place", [(0, 0), (19, 29), (10, 15), (0, 15)])
def test_one_pixel_anywhere(place: tuple[int, int]) -> None:
    truth = np.zeros((20, 30), np.uint8)
    prediction = truth.copy()
    truth[place] = 1
    prediction[place[0], (place[1] + 1) % 30] = 1
    expected = structural_similarity(truth.astype(float), prediction.astype(float), data_range=1)
    assert class_structural_similarity(truth, prediction, 2)[1] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("size", [(1, 1), (6, 6), (6, 100), (100, 6)])
def test_masks_smaller_than_the_window_have_none(size: tuple[int, int]) -> None:
    truth = np.ones(size, np.uint8)
    truth[0, 0] = 0
    assert np.isnan(class_structural_similarity(truth, truth, 2)).all()
    assert np.isnan(label_map_ssim(truth, truth))


def test_empty_masks_have_none() -> None:
    empty = np.zeros((20, 20), np.uint8)
    assert np.isnan(class_structural_similarity(empty, empty, 3)).all()
    assert np.isnan(label_map_ssim(empty, empty))
    assert np.isnan(class_structural_similarity(empty, empty, 1)).all()


def test_views_are_compared_as_copies_are() -> None:
    truth, prediction = masks(60, 80, 0, "blocks")
    views = truth[::2, ::-1], prediction[::2, ::-1]
    copies = tuple(np.ascontiguousarray(view) for view in views)
    np.testing.assert_array_equal(
        class_structural_similarity(*views, CLASSES), class_structural_similarity(*copies, CLASSES)
    )
    assert label_map_ssim(*views) == label_map_ssim(*copies)
