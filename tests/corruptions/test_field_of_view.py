"""The black around a round view is found, and stays black where that is asked for."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from corruptions import (
    CORRUPTIONS,
    SEVERITIES,
    CorruptionError,
    corrupt,
    corrupt_pair,
    moves_pixels,
    register_corruption,
    sweep,
)
from corruptions.field_of_view import black_surround, continued
from corruptions.registry import REGISTERED

HEIGHT, WIDTH = 96, 128


def disc(radius: float = 52) -> np.ndarray:
    """Where a round view in the middle is: bool (H, W)."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    found: np.ndarray = (y - HEIGHT / 2) ** 2 + (x - WIDTH / 2) ** 2 <= radius**2
    return found


@pytest.fixture
def scene(soft) -> np.ndarray:
    """A bright scene without a surround."""
    return np.clip(soft(HEIGHT, WIDTH) // 2 + 70, 0, 255).astype(np.uint8)


@pytest.fixture
def round_view(scene: np.ndarray) -> np.ndarray:
    """The scene through an endoscope: black with a little noise around it, the rim softened."""
    noise = np.random.default_rng(2).integers(0, 7, scene.shape, np.uint8)
    inside = cv2.GaussianBlur(disc().astype(np.float32), (0, 0), 0.7)[..., None]
    return (scene * inside + noise * (1 - inside)).astype(np.uint8)


def test_a_round_view_is_found(round_view: np.ndarray) -> None:
    found = black_surround(round_view)
    assert found is not None and not (found & disc(50)).any() and found[~disc(55)].all()


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_surround_stays_and_the_view_is_corrupted(name: str, severity: int, round_view: np.ndarray) -> None:
    surround = black_surround(round_view)
    kept = corrupt(round_view, name, severity, image_id="a", field_of_view="keep")
    np.testing.assert_array_equal(kept[surround], round_view[surround])
    everywhere = corrupt(round_view, name, severity, image_id="a")
    assert (kept[disc(50)] != round_view[disc(50)]).any()
    same = (kept[disc(40)] == everywhere[disc(40)]).mean()
    assert same > (0.5 if REGISTERED[name].category == "blur" or moves_pixels(name) else 0.999)


@pytest.mark.parametrize("name", ["brightness", "contrast", "spatter", "impulse_noise", "zoom_blur"])
def test_without_the_option_the_surround_is_corrupted(name: str, round_view: np.ndarray) -> None:
    """So that the test above can fail."""
    surround = black_surround(round_view)
    assert (corrupt(round_view, name, 5, image_id="a")[surround] != round_view[surround]).any()


@pytest.mark.parametrize("name", ["gaussian_blur", "defocus_blur", "elastic_transform"])
def test_no_black_is_pulled_into_the_view(name: str, round_view: np.ndarray) -> None:
    ring = disc(50) & ~disc(47)
    kept, everywhere = (
        corrupt(round_view, name, 5, image_id="a", field_of_view=how)[ring] for how in ("keep", "corrupt")
    )
    assert kept.min() > everywhere.min() + 15 and kept.min() > 50


def test_the_mask_keeps_its_surround_and_moves_within(round_view: np.ndarray) -> None:
    surround = black_surround(round_view)
    assert surround is not None
    mask = np.where(surround, 255, np.arange(WIDTH) // 16 % 2 + 1).astype(np.uint8)
    _, moved = corrupt_pair(round_view, mask, "elastic_transform", 5, image_id="a", field_of_view="keep")
    np.testing.assert_array_equal(moved[surround], mask[surround])
    assert not (moved[~surround] == 255).any() and (moved != mask).any()
    assert set(np.unique(continued(mask, surround))) == {1, 2}


def dark_corners(scene: np.ndarray) -> np.ndarray:
    """A lamp that lights the middle: corners fade to black."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    far = np.hypot(y - HEIGHT / 2, x - WIDTH / 2) / 80
    return (scene * np.clip(1.1 - far**2 * 1.8, 0, 1)[..., None]).astype(np.uint8)


def shaft(scene: np.ndarray) -> np.ndarray:
    """A black instrument from one corner to the other, and a shadow to the third."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    dark = (np.abs(y * WIDTH - x * HEIGHT) < 20 * WIDTH) | (y > HEIGHT - 12 + 8 * np.sin(x / 9))
    return np.where(dark[..., None], 4, scene).astype(np.uint8)


@pytest.mark.parametrize(
    "change",
    [
        lambda scene: scene,
        dark_corners,
        shaft,
        lambda scene: scene // 16,
        lambda scene: np.zeros_like(scene),
    ],
    ids=["bright", "dark corners", "dark instrument", "dark scene", "black"],
)
def test_a_picture_without_a_surround_is_corrupted_as_ever(change, scene: np.ndarray) -> None:
    picture = change(scene)
    assert black_surround(picture) is None
    for name in ("brightness", "gaussian_noise", "elastic_transform"):
        one, other = (corrupt(picture, name, 3, image_id="a", field_of_view=how) for how in ("keep", "corrupt"))
        np.testing.assert_array_equal(one, other)


def test_real_round_views_are_found_and_kept(sample_data) -> None:
    for file in sorted((sample_data / "textures/cholec/frames").glob("*.png"))[:2]:
        frame = cv2.resize(cv2.imread(str(file)), (320, 180), interpolation=cv2.INTER_AREA)
        surround = black_surround(frame)
        assert surround is not None and 0.1 < surround.mean() < 0.25
        for made in sweep(frame, "brightness", [5], field_of_view="keep"):
            assert (made[surround] == frame[surround]).all() and made[~surround].mean() > frame[~surround].mean() + 50


def test_what_is_no_choice_is_named(scene: np.ndarray) -> None:
    with pytest.raises(CorruptionError, match="unknown field_of_view 'kept'. Did you mean 'keep'"):
        corrupt(scene, "smoke", 3, field_of_view="kept")
    with pytest.raises(CorruptionError, match="the corruption's name 'standard'; expected lower-case"):
        register_corruption("standard", "noise")
