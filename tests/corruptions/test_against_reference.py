"""Ours beside the reference library: the same values where nothing is random or the same random numbers are given, else the same
distribution."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from corruptions import SEVERITIES, corrupt
from corruptions.fields import LARGEST
from corruptions.operators.elastic_transform import _NOISE, _SIGMA
from corruptions.operators.glass_blur import shuffle
from corruptions.operators.impulse_noise import SHARE
from corruptions.operators.shot_noise import PHOTONS
from corruptions.randomness import LEVELS, Randomness, normal_quantiles
from corruptions.registry import REGISTERED
from tests.sampled import one_in

CERTAIN = (
    *("defocus_blur", "gaussian_blur", "zoom_blur", "brightness", "contrast", "jpeg_compression", "pixelate"),
    "saturate",
)
GIVEN = ("motion_blur", "elastic_transform", "spatter")
SIZES = [(224, 224), (33, 47), (32, 400), (400, 32), (240, 321)]


def reference(image: np.ndarray, name: str, severity: int, **arguments: Any) -> NDArray[np.float64]:
    """What the reference library computes, before it is truncated to whole numbers."""
    from imagecorruptions import corruption_dict

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return np.asarray(corruption_dict[name](Image.fromarray(image), severity, **arguments), np.float64)


def given_the_same_numbers(image: np.ndarray, name: str, severity: int) -> NDArray[np.float64]:
    """The reference with its draws replaced by ours."""
    ours = Randomness(0, name, "same")
    if name == "motion_blur":
        angle = REGISTERED[name].prepare(image, ours)
        with mock.patch("numpy.random.uniform", return_value=angle):
            return reference(image, name, severity)
    if name == "spatter":
        noise = REGISTERED[name].prepare(image, ours).astype(np.float64)
        with mock.patch("numpy.random.normal", side_effect=lambda size, loc, scale: noise * scale + loc):
            return reference(image, name, severity)
    noise = (ours.bits(2, *image.shape[:2]) + 0.5) * 2 / LEVELS - 1
    planes: Iterator[np.ndarray] = iter(noise[::-1] * _NOISE * image.shape[0])  # it draws the columns' moves first
    with mock.patch("numpy.random.uniform", side_effect=lambda *_, **__: next(planes)):
        return reference(image, name, severity)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", [*CERTAIN, *GIVEN])
def test_values_are_those_of_the_reference_rounded(name: str, size: tuple[int, int], soft) -> None:
    image = soft(*size)
    for severity in SEVERITIES:
        expected = (reference if name in CERTAIN else given_the_same_numbers)(image, name, severity)
        ours = corrupt(image, name, severity, image_id="same")
        if np.isnan(expected).any():
            assert name == "spatter"  # it divides by zero where no drop fell
            np.testing.assert_array_equal(ours, image)
            continue
        assert np.abs(ours - expected).max() <= 0.51, (name, size, severity)


@pytest.mark.slow
@pytest.mark.parametrize("name", CERTAIN)
def test_real_frames_are_within_one_of_the_reference(name: str, textures: list[np.ndarray]) -> None:
    for image in textures:
        for severity in SEVERITIES:
            ours, theirs = (corrupt(image, name, severity, backend=backend) for backend in ("fast", "reference"))
            assert np.abs(ours.astype(int) - theirs).max() <= 1


def test_glass_copies_as_the_reference_does(soft) -> None:
    """Its compiled loop, fed with the offsets that ours takes from the bits."""
    from imagecorruptions.corruptions import _shuffle_pixels_njit_glass_blur

    picture = soft(40, 56)
    for distance in (1, 2, 3, 4):
        bits = Randomness(0, "glass_blur", str(distance)).bits(2, 40, 56)
        ours, theirs = picture.copy(), picture.copy()
        shuffle(ours, bits, distance)
        offsets = np.stack([bits >> 8, bits & 255]).astype(int) * 2 * distance // 256 - distance
        drawn = [
            offsets[::-1, r, y, x]
            for r in range(2)
            for y in range(40 - distance, distance, -1)
            for x in range(56 - distance, distance, -1)
        ]
        with mock.patch("numpy.random.randint", side_effect=drawn):
            _shuffle_pixels_njit_glass_blur.py_func(40, 56, theirs, (0, distance, 2), 0)
        assert (ours != picture).any()
        np.testing.assert_array_equal(ours, theirs)


def test_glass_offsets_are_uniform() -> None:
    for distance in (1, 2, 3, 4):
        values = np.arange(256) * 2 * distance // 256 - distance
        counts = np.bincount(values + distance, minlength=2 * distance)
        assert values.min() == -distance and values.max() == distance - 1
        assert np.ptp(counts) <= 1


GREYS = (0, 1, 20, 90, 128, 200, 254, 255)


@pytest.mark.parametrize("severity", one_in(5, SEVERITIES))
@pytest.mark.parametrize(
    ("name", "tolerance"), [("gaussian_noise", 0.005), ("shot_noise", 0.006), ("speckle_noise", 0.005)]
)
def test_noise_is_distributed_as_the_reference(name: str, tolerance: float, severity: int) -> None:
    """Mean and deviation at each grey, against many values of the reference, rounded as ours."""
    for grey in GREYS:
        image = np.full((600, 600, 3), grey, np.uint8)
        ours = corrupt(image, name, severity, image_id=str(grey)).astype(np.float64)
        np.random.seed(grey)  # noqa: NPY002 - the reference's only seed
        theirs = np.rint(reference(image, name, severity))
        assert abs(ours.mean() - theirs.mean()) <= 0.15 + 0.005 * theirs.std()
        assert abs(ours.std() - theirs.std()) <= tolerance * theirs.std() + 0.02


@pytest.mark.parametrize("severity", SEVERITIES)
def test_impulses_are_as_many_as_asked_half_of_them_white(severity: int) -> None:
    image = np.full((600, 600, 3), 100, np.uint8)
    result = corrupt(image, "impulse_noise", severity)
    share = SHARE[severity - 1]
    assert abs((result != 100).mean() - share) <= 0.03 * share
    assert abs((result == 255).mean() - share / 2) <= 0.03 * share
    assert set(np.unique(result)) == {0, 100, 255}


def test_shot_noise_has_the_probabilities_of_poisson() -> None:
    from scipy.stats import poisson

    grey, severity = 90, 3
    photons = PHOTONS[severity - 1]
    result = corrupt(np.full((700, 700, 3), grey, np.uint8), "shot_noise", severity)
    for count in range(10):
        value = round(255 * count / photons)
        expected = poisson.pmf(count, grey / 255 * photons)
        assert abs((result == value).mean() - expected) <= 0.002


def test_noises_of_pixels_and_channels_are_independent() -> None:
    image = np.full((512, 512, 3), 128, np.uint8)
    noise = corrupt(image, "gaussian_noise", 1).astype(np.float64) - 128
    for moved in (np.roll(noise, 1, axis=0), np.roll(noise, 1, axis=1), np.roll(noise, 1, axis=2), noise[::-1]):
        assert abs(np.corrcoef(noise.ravel(), moved.ravel())[0, 1]) <= 0.006


def test_normal_quantiles_are_normal() -> None:
    values = normal_quantiles().astype(np.float64)
    assert abs(values.mean()) < 1e-6 and abs(values.std() - 1) < 1e-6
    assert abs((values**4).mean() - 3) < 0.005
    np.testing.assert_array_equal(values, np.sort(values))


@pytest.mark.parametrize("size", [(256, 256), (LARGEST * 2, LARGEST * 2), (1024, 1280), (64, 2000), (2000, 40)])
def test_elastic_moves_pixels_as_far_as_the_reference(size: tuple[int, int]) -> None:
    """Also where the field is drawn at a smaller size: deviation, and how alike neighbours move."""
    from skimage.filters import gaussian

    image = np.zeros((*size, 3), np.uint8)
    ours = np.stack([REGISTERED["elastic_transform"].prepare(image, Randomness(0, "e", str(i))) for i in range(3)])
    random = np.random.default_rng(0)
    largest = _NOISE * size[0]
    theirs = np.stack(
        [
            gaussian(random.uniform(-largest, largest, size), _SIGMA * np.array(size), mode="reflect", truncate=3)
            for _ in range(4)
        ]
    )
    assert abs(ours.std() / theirs.std() - 1) <= 0.06
    for step in (0.005, 0.01, 0.02):
        lag = max(1, round(step * size[1]))
        alike = [np.corrcoef(f[..., lag:].ravel(), f[..., :-lag].ravel())[0, 1] for f in (ours, theirs)]
        assert abs(alike[0] - alike[1]) <= 0.06
