"""Smoke and blood are seen within the field of view alone."""

from __future__ import annotations

import numpy as np
import pytest

from corruptions import corrupt
from corruptions.lighting import lit_area, scene_at_field_size


def round_view(height: int, width: int, black: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Tissue in a circle with a shadow in it, black around; and the distance from the middle in radii."""
    y, x = np.mgrid[:height, :width].astype(float)
    distance = np.hypot(y - height / 2, x - width / 2) / (0.47 * min(height, width))
    image = np.where(distance[..., None] < 1, np.array([150, 70, 60]), black).astype(np.uint8)
    image[np.hypot(y - height / 2, x - width / 2) < 0.06 * min(height, width)] = 4
    return image, distance


@pytest.mark.parametrize("size", [(224, 224), (180, 320), (1080, 1920)])
def test_the_field_of_view_is_found_shadows_included(size: tuple[int, int]) -> None:
    image, distance = round_view(*size)
    scene = scene_at_field_size(image)
    lit = lit_area(scene)
    assert lit.shape == scene.shape[:2] and lit.dtype == np.float32
    step_y, step_x = size[0] / lit.shape[0], size[1] / lit.shape[1]
    rows = np.minimum(((np.arange(lit.shape[0]) + 0.5) * step_y).astype(int), size[0] - 1)
    columns = np.minimum(((np.arange(lit.shape[1]) + 0.5) * step_x).astype(int), size[1] - 1)
    there = distance[np.ix_(rows, columns)]
    assert lit[there < 0.9].min() > 0.99 and lit[there > 1.1].max() < 0.01


@pytest.mark.parametrize("name", ["smoke", "bleeding"])
@pytest.mark.parametrize("black", [0, 14])
def test_the_black_around_it_stays(name: str, black: int) -> None:
    image, distance = round_view(224, 300, black)
    for image_id in "abc":
        result = corrupt(image, name, 5, image_id=image_id).astype(int)
        np.testing.assert_array_equal(result[distance > 1.15], black)
        assert np.abs(result - image)[distance < 0.9].mean() > 5


def test_shadows_fill_with_smoke() -> None:
    image, distance = round_view(224, 224)
    assert (corrupt(image, "smoke", 5)[distance < 0.1].mean()) > 40


def test_a_dark_picture_without_a_border_is_left_dark() -> None:
    """Nothing is lit, so nothing is seen of the smoke: no division by zero, no glow."""
    for name in ("smoke", "bleeding"):
        image = np.full((64, 64, 3), 3, np.uint8)
        np.testing.assert_array_equal(corrupt(image, name, 5), image)
