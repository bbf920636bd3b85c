"""Surface distances against brute force, shapes with known distances, and their edge cases."""

from __future__ import annotations

import math
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_erosion, distance_transform_edt, generate_binary_structure
from scipy.spatial.distance import cdist
from skimage.metrics import hausdorff_distance

from endoarss.metrics import SurfaceDistances, surface_distances
from endoarss.metrics.surface import _SPARSE, _distances, _outline, percentile_95

Box = tuple[int, int, int, int]


def brute_force(truth: np.ndarray, prediction: np.ndarray, index: int) -> tuple[float, float, float]:
    """HD, HD95 and ASSD of one class from the distances between all pairs of outline pixels."""
    points = []
    for mask in (truth == index, prediction == index):
        points.append(np.argwhere(mask & ~binary_erosion(mask, generate_binary_structure(2, 1), border_value=0)))
    if not len(points[0]) or not len(points[1]):
        return (math.nan if len(points[0]) == len(points[1]) else math.hypot(*truth.shape),) * 3
    pairs = cdist(*points)
    there, back = pairs.min(axis=1), pairs.min(axis=0)
    percentiles = [float(np.percentile(side, 95)) for side in (there, back)]
    return max(there.max(), back.max()), max(percentiles), float(np.mean([*there, *back]))


def mask_with(*boxes: Box, size: tuple[int, int] = (60, 80), index: int = 1) -> np.ndarray:
    """A mask (H, W) with boxes (x, y, width, height) of one class."""
    mask = np.zeros(size, np.uint8)
    for x, y, width, height in boxes:
        mask[y : y + height, x : x + width] = index
    return mask


def values(found: SurfaceDistances, index: int = 1) -> tuple[float, float, float]:
    return float(found.hd[index]), float(found.hd95[index]), float(found.assd[index])


@st.composite
def masks(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    """Two masks of one size: noise, single pixels, boxes that may touch the border, and whole pictures of one class."""
    height, width, classes = draw(st.integers(1, 24)), draw(st.integers(1, 24)), draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def one(kind: str) -> np.ndarray:
        mask = np.zeros((height, width), np.uint8)
        if kind == "noise":
            return rng.integers(0, classes, mask.shape, np.uint8)
        if kind == "whole":
            return mask + np.uint8(rng.integers(classes))
        for _ in range(3):
            y, x = rng.integers(height), rng.integers(width)
            down, right = (1, 1) if kind == "pixels" else (rng.integers(1, height + 1), rng.integers(1, width + 1))
            mask[y : y + down, x : x + right] = rng.integers(classes)
        return mask

    kinds = st.sampled_from(["noise", "whole", "pixels", "boxes"])
    return one(draw(kinds)), one(draw(kinds)), classes


@settings(max_examples=200, deadline=None)
@given(masks())
def test_against_brute_force(given_masks: tuple[np.ndarray, np.ndarray, int]) -> None:
    truth, prediction, classes = given_masks
    before = truth.copy(), prediction.copy()
    found = surface_distances(truth, prediction, classes)
    assert found.hd.shape == found.hd95.shape == found.assd.shape == found.missing.shape == (classes,)
    assert math.isnan(found.hd[0]) and math.isnan(found.hd95[0]) and math.isnan(found.assd[0]) and not found.missing[0]
    for index in range(1, classes):
        np.testing.assert_allclose(values(found, index), brute_force(truth, prediction, index), rtol=1e-12)
        assert found.missing[index] == ((truth == index).any() != (prediction == index).any())
        assert math.isnan(found.hd[index]) or found.assd[index] <= found.hd[index] + 1e-12
    np.testing.assert_array_equal(truth, before[0])
    np.testing.assert_array_equal(prediction, before[1])


@settings(max_examples=100, deadline=None)
@given(masks())
def test_symmetric_and_zero_for_equal_masks(given_masks: tuple[np.ndarray, np.ndarray, int]) -> None:
    truth, prediction, classes = given_masks
    there, back = surface_distances(truth, prediction, classes), surface_distances(prediction, truth, classes)
    same = surface_distances(truth, truth, classes)
    for index in range(1, classes):
        np.testing.assert_allclose(values(there, index), values(back, index), rtol=1e-12)
        assert there.missing[index] == back.missing[index]
        np.testing.assert_array_equal(values(same, index), (0 if (truth == index).any() else math.nan,) * 3)
    assert not same.missing.any()


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """OpenCV with that many threads: it has different code for one and for more."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(request.param)
    yield request.param
    cv2.setNumThreads(before)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (37, 1), (224, 224), (1024, 1280)])
def test_distances_are_those_of_scipy(size: tuple[int, int], threads: int) -> None:
    """At the size of a frame too, from very few pixels and from very many."""
    before, rng = cv2.ipp.useIPP(), np.random.default_rng(0)
    everywhere = np.ones(size, np.bool_)
    for density in (0, 1e-4, 0.5):
        outline = rng.random(size) < density
        outline[rng.integers(size[0]), rng.integers(size[1])] = True
        expected = distance_transform_edt(~outline).ravel()
        np.testing.assert_allclose(_distances(everywhere, outline), expected, rtol=1e-12)
    assert cv2.ipp.useIPP() == before


@pytest.mark.parametrize("shift", [(0, 0), (1, 0), (0, -1), (3, 4), (-6, 8), (30, 20)])
def test_a_moved_square_is_as_far_as_it_was_moved(shift: tuple[int, int]) -> None:
    dx, dy = shift
    truth, moved = mask_with((25, 20, 9, 9)), mask_with((25 + dx, 20 + dy, 9, 9))
    found = surface_distances(truth, moved, 2)
    assert found.hd[1] == pytest.approx(math.hypot(dx, dy))
    assert found.assd[1] <= found.hd95[1] <= found.hd[1]


def test_single_pixels_are_their_distance_apart() -> None:
    found = surface_distances(mask_with((0, 0, 1, 1)), mask_with((79, 59, 1, 1)), 2)
    assert values(found) == pytest.approx((math.hypot(79, 59),) * 3)


def test_lines_give_known_values() -> None:
    """Two of 100 pixels side by side, 3 apart, one with a far pixel more: an outlier moves HD and not HD95."""
    size = (200, 200)
    truth = mask_with((10, 10, 1, 100), size=size)
    prediction = mask_with((13, 10, 1, 100), (150, 60, 1, 1), size=size)
    assert values(surface_distances(truth, prediction, 2)) == pytest.approx((140, 3, (200 * 3 + 140) / 201))


def test_percentiles_are_taken_of_each_side() -> None:
    """A far part of 8 of 108 pixels counts on its own side; of both sides together it would be below 5 %."""
    size = (200, 200)
    truth = mask_with((10, 10, 1, 100), size=size)
    prediction = mask_with((10, 10, 1, 100), (110, 40, 1, 8), size=size)
    assert surface_distances(truth, prediction, 2).hd95[1] == pytest.approx(100)


def test_values_of_monai() -> None:
    """By MONAI 1.6.1: compute_hausdorff_distance, with percentile=95 too, compute_average_surface_distance(symmetric=True)."""
    truth, prediction = np.zeros((2, 60, 80), np.uint8)
    for x, y, width, height, index in ((0, 0, 30, 12, 1), (40, 8, 20, 30, 2), (45, 30, 35, 30, 3), (5, 40, 1, 1, 1)):
        truth[y : y + height, x : x + width] = index
    for x, y, width, height, index in ((4, 2, 25, 14, 1), (38, 10, 21, 33, 2), (50, 34, 30, 20, 3), (70, 3, 6, 2, 2)):
        prediction[y : y + height, x : x + width] = index
    found = surface_distances(truth, prediction, 4)
    np.testing.assert_allclose(found.hd[1:], [25.0, 16.76305, 7.81025], atol=1e-5)
    np.testing.assert_allclose(found.hd95[1:], [4.0, 14.11794, 6.26411], atol=1e-5)
    np.testing.assert_allclose(found.assd[1:], [2.74784, 3.16542, 3.98602], atol=1e-5)


def of_monai(truth: np.ndarray, prediction: np.ndarray, classes: int) -> list[np.ndarray]:
    """HD, HD95 and ASSD of each foreground class."""
    # MONAI takes seconds to import.
    from monai.metrics.hausdorff_distance import compute_hausdorff_distance
    from monai.metrics.surface_distance import compute_average_surface_distance

    hot = [torch.from_numpy(np.stack([m == i for i in range(classes)])[None]).float() for m in (prediction, truth)]
    found = (
        compute_hausdorff_distance(*hot),
        compute_hausdorff_distance(*hot, percentile=95),
        compute_average_surface_distance(*hot, symmetric=True),
    )
    return [values[0].numpy() for values in found]


def frayed(size: tuple[int, int], classes: int, stray: bool) -> tuple[np.ndarray, np.ndarray]:
    """Blocks of classes, and a moved copy with holes and, if so wanted, single pixels anywhere; every class in both."""
    rng = np.random.default_rng(size[0] + classes)
    small = rng.permutation(np.arange(25) % classes).reshape(5, 5).astype(np.uint8)
    truth = cv2.resize(small, size[::-1], interpolation=cv2.INTER_NEAREST)
    prediction = np.roll(truth, (size[0] // 30 + 1, -size[1] // 40), (0, 1))
    prediction[rng.random(size) < 0.01] = 0
    if stray:
        places = rng.integers(0, np.array(size)[:, None], (2, 3 * classes))
        prediction[tuple(places)] = np.repeat(np.arange(classes), 3)
    return truth, prediction


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("stray", [False, True])
@pytest.mark.parametrize("size", [(224, 224), (223, 301), (31, 17), (512, 640)])
def test_against_monai(size: tuple[int, int], stray: bool) -> None:
    """Whose values are float32."""
    truth, prediction = frayed(size, 6, stray)
    found = surface_distances(truth, prediction, 6)
    for ours, theirs in zip((found.hd, found.hd95, found.assd), of_monai(truth, prediction, 6), strict=True):
        np.testing.assert_allclose(ours[1:], theirs, rtol=1e-5, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(masks())
def test_hd_is_that_of_scikit_image_on_outlines(given_masks: tuple[np.ndarray, np.ndarray, int]) -> None:
    truth, prediction, classes = given_masks
    found = surface_distances(truth, prediction, classes)
    for index in range(1, classes):
        one, other = _outline(truth == index), _outline(prediction == index)
        if one.any() and other.any():
            assert found.hd[index] == pytest.approx(hausdorff_distance(one, other), rel=1e-12)


@pytest.mark.parametrize("pixels", [1, 2, 40])
def test_few_pixels_far_apart_are_measured_as_many_are(pixels: int) -> None:
    """In a large box with few pixels neighbours are looked for; the answer is the same on either side of that."""
    size, rng = (400, 500), np.random.default_rng(pixels)
    outline, other = np.zeros((2, *size), np.bool_)
    for mask in (outline, other):
        mask.ravel()[rng.choice(mask.size, pixels, replace=False)] = True
    assert outline.size > _SPARSE * 2 * pixels
    expected = distance_transform_edt(~other)[outline]
    np.testing.assert_allclose(_distances(outline, other), expected, rtol=1e-12)


def test_outlines_not_areas_are_compared() -> None:
    """A square with a hole has an inner outline; the border of the picture is one."""
    truth = mask_with((0, 0, 21, 21), size=(21, 21))
    holed = truth.copy()
    holed[10, 10] = 0
    assert surface_distances(truth, holed, 2).hd[1] == pytest.approx(9)  # from beside the hole to the border
    assert surface_distances(truth, truth, 2).hd[1] == 0


@pytest.mark.parametrize("factor", [2, 5])
def test_scaled_pictures_scale_hd(factor: int) -> None:
    """A moved box at a multiple of the size is as many times further away."""
    truth, moved = mask_with((5, 5, 4, 6)), mask_with((11, 13, 4, 6))
    larger = [mask.repeat(factor, axis=0).repeat(factor, axis=1) for mask in (truth, moved)]
    small, large = surface_distances(truth, moved, 2), surface_distances(*larger, 2)
    assert large.hd[1] == pytest.approx(factor * small.hd[1])


def test_classes_in_neither_mask_are_skipped_and_in_one_are_the_diagonal() -> None:
    truth = mask_with((5, 5, 4, 4), index=1) + mask_with((30, 30, 4, 4), index=2)
    prediction = mask_with((5, 5, 4, 4), index=1) + mask_with((30, 30, 4, 4), index=3)
    found = surface_distances(truth, prediction, 5)
    diagonal = math.sqrt(60**2 + 80**2)
    for column in (found.hd, found.hd95, found.assd):
        np.testing.assert_array_equal(column, [np.nan, 0, diagonal, diagonal, np.nan])
    np.testing.assert_array_equal(found.missing, [False, False, True, True, False])


def test_views_are_measured_as_copies_are() -> None:
    rng = np.random.default_rng(0)
    truth, prediction = rng.integers(0, 3, (2, 40, 50), np.uint8)
    found = surface_distances(truth[::2, ::-1], prediction[::2, ::-1], 3)
    copied = surface_distances(truth[::2, ::-1].copy(), prediction[::2, ::-1].copy(), 3)
    np.testing.assert_array_equal(found.assd, copied.assd)


def test_bad_input_is_named() -> None:
    mask = np.zeros((4, 6), np.uint8)
    with pytest.raises(ValueError, match="expected equal shapes"):
        surface_distances(mask, mask[:, :2], 3)
    with pytest.raises(ValueError, match="int64; expected uint8"):
        surface_distances(mask, mask.astype(np.int64), 3)
    with pytest.raises(ValueError, match=r"\(1, 4, 6\).* expected uint8 \(H, W\)"):
        surface_distances(mask[None], mask[None], 3)
    with pytest.raises(ValueError, match="not empty"):
        surface_distances(mask[:0], mask[:0], 3)
    with pytest.raises(ValueError, match=r"outside 0\.\.1"):
        surface_distances(mask, mask + np.uint8(2), 2)
    with pytest.raises(ValueError, match=r"outside 0\.\.-1"):
        surface_distances(mask, mask, 0)


def test_the_percentile_has_numpys_bits() -> None:
    draws = np.random.default_rng(0)
    for number in (*range(1, 130), 1000, 5001):
        values = np.sqrt(draws.integers(0, 400, number).astype(np.float64))
        assert percentile_95(values) == np.percentile(values, 95), number
