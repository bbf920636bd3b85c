"""The profile that does what the authors' script does."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from corruptions import (
    SEVERITIES,
    STANDARD_CORRUPTIONS,
    CorruptionError,
    backend_of,
    corrupt,
    corrupt_pair,
    corruptions_of,
)
from corruptions.authors_code import GAMMA, GLASS, SIZE, elastic_maps
from corruptions.randomness import Randomness


def test_it_has_all_but_what_was_not_released() -> None:
    assert set(STANDARD_CORRUPTIONS) - set(corruptions_of("authors_code")) == {"smoke", "bleeding"}
    image = np.zeros((64, 64, 3), np.uint8)
    for name in ("smoke", "bleeding"):
        with pytest.raises(CorruptionError, match="its code and parameters were not released. Use 'standard'"):
            corrupt(image, name, 3, profile="authors_code")
    with pytest.raises(CorruptionError, match="needs the backend 'reference'; use backend 'auto'"):
        backend_of("contrast", "fast", "authors_code")
    with pytest.raises(
        CorruptionError, match="unknown parameter 'direction'; it has no parameters with the backend 'reference'"
    ):
        corrupt(image, "gamma_correction", 3, profile="authors_code", direction="dark")


@pytest.mark.usefixtures("reference")
@pytest.mark.parametrize("name", corruptions_of("authors_code"))
def test_size_stays_and_the_same_arguments_give_the_same_bytes(name: str, soft) -> None:
    image = soft(120, 150)
    before = image.copy()
    first = corrupt(image, name, 3, profile="authors_code", image_id="a")
    np.random.seed(7)  # noqa: NPY002
    assert first.shape == image.shape and first.dtype == np.uint8
    np.testing.assert_array_equal(first, corrupt(image, name, 3, profile="authors_code", image_id="a"))
    np.testing.assert_array_equal(image, before)
    _, mask = corrupt_pair(image, image[..., 0], name, 3, profile="authors_code")
    np.testing.assert_array_equal(mask, image[..., 0])


@pytest.mark.usefixtures("reference")
def test_pictures_go_through_256_pixels(soft) -> None:
    """At that size nothing is resized, and the reference's own result comes out, truncated as it does."""
    image = soft(SIZE, SIZE)
    np.testing.assert_array_equal(
        corrupt(image, "contrast", 2, profile="authors_code"), corrupt(image, "contrast", 2, backend="reference")
    )
    large = soft(400, 500)
    small = cv2.resize(large, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
    expected = cv2.resize(
        corrupt(small, "contrast", 2, backend="reference"), (500, 400), interpolation=cv2.INTER_LINEAR
    )
    np.testing.assert_array_equal(corrupt(large, "contrast", 2, profile="authors_code"), expected)


def test_gamma_is_the_authors_table_whose_third_severity_is_the_mildest() -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], SIZE, axis=0).repeat(3, axis=2)
    for severity in SEVERITIES:
        result = corrupt(ramp, "gamma_correction", severity, profile="authors_code")
        expected = 255 * (np.arange(256) / 255) ** GAMMA[severity - 1]
        assert np.abs(result[0, :, 0] - expected).max() <= 0.5 + 1e-9
    changes = [
        np.abs(corrupt(ramp, "gamma_correction", s, profile="authors_code").astype(int) - ramp).mean()
        for s in SEVERITIES
    ]
    assert changes[2] == min(changes) and changes[0] > changes[3]


def test_glass_shuffles_the_top_left_alone(soft) -> None:
    """Elsewhere it is two blurs. Near the corner's edge the second blur mixes both."""
    image = soft(SIZE, SIZE)
    image[::8] = 255
    a, b = (corrupt(image, "glass_blur", 5, profile="authors_code", image_id=i).astype(int) for i in "ab")
    assert (a[:GLASS, :GLASS] != b[:GLASS, :GLASS]).mean() > 0.2
    np.testing.assert_array_equal(a[GLASS + 7 :], b[GLASS + 7 :])
    np.testing.assert_array_equal(a[:, GLASS + 7 :], b[:, GLASS + 7 :])


def test_elastic_tilts_far_at_first_and_little_later() -> None:
    """ImageNet-C's first elastic transform: its second severity moves pixels furthest."""
    y, x = np.mgrid[:SIZE, :SIZE].astype(float)
    moved = []
    for severity in SEVERITIES:
        squares = []
        for key in range(40):
            tilt, field = elastic_maps(severity, Randomness(key, "elastic_transform", ""))
            across = tilt[0, 0] * x + tilt[0, 1] * y + tilt[0, 2] - x + field[1]
            down = tilt[1, 0] * x + tilt[1, 1] * y + tilt[1, 2] - y + field[0]
            squares.append((across**2 + down**2).mean())
        moved.append(np.sqrt(np.mean(squares)))
    assert 18 < moved[0] < 28 and 36 < moved[1] < 56
    assert all(3.5 < distance < 6.5 for distance in moved[2:])
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    image[100:150, 100:150] = 200
    assert (corrupt(image, "elastic_transform", 2, profile="authors_code", image_id="x") != image).any()
