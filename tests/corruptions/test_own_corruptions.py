"""Smoke, bleeding and gamma against their designs."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest

from corruptions import SEVERITIES, CorruptionError, corrupt
from corruptions.operators.bleeding import COVERAGE, blood_level, blood_thickness
from corruptions.operators.gamma_correction import GAMMA
from corruptions.operators.smoke import MEAN_TRANSMISSION, smoke_density, smoke_transmission
from corruptions.randomness import Randomness

SIZES = [(224, 224), (84, 84), (1024, 1280)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("image_id", ["a", "b", "c"])
def test_smoke_thickens_everywhere_to_its_mean(size: tuple[int, int], image_id: str) -> None:
    density = smoke_density(Randomness(0, "smoke", image_id), *size)
    fields = [smoke_transmission(density, mean) for mean in MEAN_TRANSMISSION]
    for field, mean in zip(fields, MEAN_TRANSMISSION, strict=True):
        assert abs(field.mean() - mean) < 0.005
    for thinner, thicker in itertools.pairwise(fields):
        assert (thicker <= thinner).all()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("image_id", ["a", "b", "c"])
def test_blood_spreads_to_its_coverage(size: tuple[int, int], image_id: str) -> None:
    level = blood_level(Randomness(0, "bleeding", image_id), *size)
    covers = [blood_thickness(level, share) > 0 for share in COVERAGE]
    for cover, share in zip(covers, COVERAGE, strict=True):
        assert abs(cover.mean() - share) < 0.005
    for less, more in itertools.pairwise(covers):
        assert not (less & ~more).any()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("severity", SEVERITIES)
def test_the_picture_itself_is_covered_as_asked(size: tuple[int, int], severity: int) -> None:
    grey = np.full((*size, 3), 150, np.uint8)
    changed = (corrupt(grey, "bleeding", severity, image_id="c") != grey).any(axis=2)
    assert abs(changed.mean() - COVERAGE[severity - 1]) < 0.005


@pytest.mark.parametrize("name", ["smoke", "bleeding"])
@pytest.mark.parametrize("severity", SEVERITIES)
def test_corrupting_and_downscaling_commute(name: str, severity: int, frames: list[np.ndarray]) -> None:
    check_commutes(name, severity, frames[0])


@pytest.mark.parametrize("name", ["smoke", "bleeding"])
@pytest.mark.parametrize("severity", [1, 3, 5])
def test_corrupting_and_downscaling_real_frames_commute(name: str, severity: int, textures: list[np.ndarray]) -> None:
    for frame in textures:
        check_commutes(name, severity, frame)


def check_commutes(name: str, severity: int, frame: np.ndarray) -> None:
    """Corrupting and then shrinking is shrinking and then corrupting, to 35 dB."""
    large = cv2.resize(frame, (448, 448), interpolation=cv2.INTER_CUBIC)
    small = cv2.resize(large, (224, 224), interpolation=cv2.INTER_AREA)
    after = cv2.resize(corrupt(large, name, severity, image_id="r"), (224, 224), interpolation=cv2.INTER_AREA)
    before = corrupt(small, name, severity, image_id="r")
    error = np.mean((after.astype(float) - before.astype(float)) ** 2)
    assert 10 * np.log10(255**2 / error) >= 35


def test_blood_is_red_and_keeps_to_its_place(frames: list[np.ndarray]) -> None:
    grey = np.full((224, 224, 3), 150, np.uint8)
    level = blood_level(Randomness(0, "bleeding", "a"), 224, 224)
    thickness = blood_thickness(level, COVERAGE[4])
    result = corrupt(grey, "bleeding", 5, image_id="a").astype(int)
    red, green, blue = result[thickness > 0.5].mean(axis=0)
    assert red > 2 * green and red > 2 * blue
    assert (result[thickness == 0] == 150).all()


def test_parameters_replace_the_severity(frames: list[np.ndarray]) -> None:
    image = frames[0]
    for name, parameter, values in (
        ("smoke", "mean_transmission", MEAN_TRANSMISSION),
        ("bleeding", "coverage", COVERAGE),
    ):
        np.testing.assert_array_equal(corrupt(image, name, 1, **{parameter: values[3]}), corrupt(image, name, 4))
        with pytest.raises(CorruptionError, match=parameter):
            corrupt(image, name, 1, **{parameter: 1.5})


def test_gamma_is_a_rounded_power_in_both_directions() -> None:
    image = np.arange(256, dtype=np.uint8).repeat(16 * 3).reshape(64, 64, 3)
    for severity, gamma in zip(SEVERITIES, GAMMA, strict=True):
        dark = corrupt(image, "gamma_correction", severity, direction="dark")
        bright = corrupt(image, "gamma_correction", severity, direction="bright")
        assert np.abs(dark - 255 * (image / 255.0) ** gamma).max() <= 0.5 + 1e-9
        assert np.abs(bright - 255 * (image / 255.0) ** (1 / gamma)).max() <= 0.5 + 1e-9


def test_gamma_draws_both_directions_and_keeps_one_an_image() -> None:
    image = np.full((32, 32, 3), 100, np.uint8)
    darker = [
        {corrupt(image, "gamma_correction", s, image_id=str(i))[0, 0, 0] < 100 for s in SEVERITIES} for i in range(24)
    ]
    assert all(len(directions) == 1 for directions in darker)
    assert {True} in darker and {False} in darker
