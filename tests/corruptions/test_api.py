"""What must hold for every corruption."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise, product

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from corruptions import CATEGORIES, CORRUPTIONS, SEVERITIES, CorruptionError, backend_of, corrupt, corrupt_pair

FALLING_SSIM = (
    *CATEGORIES["noise"],
    *("defocus_blur", "motion_blur", "gaussian_blur", "brightness", "contrast", "elastic_transform", "pixelate"),
    *("jpeg_compression", "smoke", "bleeding", "gamma_correction"),
)


def test_there_are_nineteen_in_four_categories() -> None:
    assert len(CORRUPTIONS) == len(set(CORRUPTIONS)) == 19
    assert [len(names) for names in CATEGORIES.values()] == [4, 5, 4, 6]


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("shape", [(224, 224), (33, 47), (32, 400)])
def test_shape_type_and_input_stay(name: str, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    before = image.copy()
    for severity in SEVERITIES:
        result = corrupt(image, name, severity, image_id="x")
        assert result.dtype == np.uint8 and result.shape == image.shape
        assert not np.shares_memory(result, image)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_size_of_the_esd_release_works(name: str) -> None:
    image = np.random.default_rng(1).integers(0, 256, (1009, 1306, 3), np.uint8)
    assert corrupt(image, name, 5).shape == image.shape


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_same_bytes_in_any_order_and_thread(name: str, frames: list[np.ndarray]) -> None:
    small = [np.ascontiguousarray(frame[::3, ::3]) for frame in frames]
    jobs = list(product(range(len(small)), (1, 4)))

    def run(job: tuple[int, int]) -> bytes:
        return corrupt(small[job[0]], name, job[1], seed=3, image_id=str(job[0])).tobytes()

    alone = {job: run(job) for job in jobs}
    np.random.seed(99)  # noqa: NPY002 - somebody else's global state must not matter
    assert {job: run(job) for job in reversed(jobs)} == alone
    with ThreadPoolExecutor(4) as pool:
        assert dict(zip(jobs, pool.map(run, jobs), strict=True)) == alone


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_global_generator_is_left_alone(name: str, frames: list[np.ndarray]) -> None:
    np.random.seed(5)  # noqa: NPY002
    expected = np.random.get_state()[1].copy()  # noqa: NPY002
    corrupt(frames[0], name, 3)
    np.testing.assert_array_equal(np.random.get_state()[1], expected)  # noqa: NPY002


def test_seed_and_image_id_decide_the_noise(frames: list[np.ndarray]) -> None:
    one = corrupt(frames[0], "gaussian_noise", 3, seed=0, image_id="a")
    assert (one != corrupt(frames[0], "gaussian_noise", 3, seed=1, image_id="a")).any()
    assert (one != corrupt(frames[0], "gaussian_noise", 3, seed=0, image_id="b")).any()


@pytest.mark.parametrize("name", FALLING_SSIM)
def test_similarity_falls_with_severity(name: str, frames: list[np.ndarray]) -> None:
    means = [
        np.mean(
            [
                structural_similarity(frame, corrupt(frame, name, severity, image_id=str(i)), channel_axis=2)
                for i, frame in enumerate(frames)
            ]
        )
        for severity in SEVERITIES
    ]
    assert all(later < earlier for earlier, later in pairwise(means)), means


@pytest.mark.parametrize(
    ("name", "severities"), [("zoom_blur", (1, 2, 3, 4, 5)), ("spatter", (1, 2, 3)), ("spatter", (4, 5))]
)
def test_difference_rises_with_severity(name: str, severities: tuple[int, ...], frames: list[np.ndarray]) -> None:
    """spatter is water up to severity 3 and mud from 4 on; mud on dark tissue changes less than the water before it."""
    means = [
        np.mean([np.abs(f.astype(int) - corrupt(f, name, s, image_id=str(i))).mean() for i, f in enumerate(frames)])
        for s in severities
    ]
    assert all(later > earlier for earlier, later in pairwise(means)), means


def test_spatter_without_a_drop_leaves_the_picture() -> None:
    """The reference divides by the largest drop; where there is none its result is not a number."""
    image = np.full((32, 32, 3), 90, np.uint8)
    results = [corrupt(image, "spatter", 1, image_id=str(i)) for i in range(40)]
    assert any((result == image).all() for result in results)
    assert all(result.mean() >= 80 for result in results)


def test_elastic_moves_the_mask_along() -> None:
    """A picture that shows its own mask must still show it afterwards."""
    mask = np.zeros((128, 128), np.uint8)
    mask[30:70, 20:100] = 1
    mask[60:110, 50:80] = 4
    image = np.repeat((mask * 60)[..., None], 3, axis=2)
    for severity in SEVERITIES:
        moved_image, moved_mask = corrupt_pair(image, mask, "elastic_transform", severity, image_id="m")
        shown = np.abs(moved_image[..., 0].astype(int)[..., None] - np.array([0, 60, 240])).argmin(axis=2)
        agreement = (np.array([0, 1, 4])[shown] == moved_mask).mean()
        stale = (np.array([0, 1, 4])[shown] == mask).mean()
        assert agreement > 0.97 and agreement > stale
        assert set(np.unique(moved_mask)) <= {0, 1, 4}


@pytest.mark.parametrize("name", [name for name in CORRUPTIONS if name != "elastic_transform"])
def test_other_corruptions_leave_the_mask(name: str, frames: list[np.ndarray]) -> None:
    mask = (frames[0][..., 0] > 100).astype(np.uint8)
    _, after = corrupt_pair(frames[0], mask, name, 3)
    np.testing.assert_array_equal(after, mask)


def test_backends() -> None:
    assert {name for name in CORRUPTIONS if backend_of(name) == "fast"} == {"smoke", "bleeding", "gamma_correction"}
    with pytest.raises(CorruptionError, match="'reference'"):
        backend_of("gaussian_noise", "fast")
    with pytest.raises(CorruptionError, match="known: auto, fast, reference"):
        backend_of("smoke", "quick")


IMAGE = np.zeros((64, 64, 3), np.uint8)


@pytest.mark.parametrize(
    ("image", "name", "severity", "message"),
    [
        (IMAGE, "smoke", 6, "severity 6; expected a whole number from 1 to 5"),
        (IMAGE, "smoke", 0, "severity 0"),
        (IMAGE, "smoke", True, "severity True"),
        (IMAGE, "fog", 3, "unknown corruption 'fog'; known: gaussian_noise"),
        (IMAGE.astype(np.float32), "smoke", 3, "type float32; expected a numpy array of uint8"),
        (IMAGE.astype(np.uint16), "smoke", 3, "type uint16"),
        (IMAGE[..., 0], "smoke", 3, r"shape \(64, 64\); expected RGB"),
        (np.zeros((64, 64, 4), np.uint8), "smoke", 3, r"shape \(64, 64, 4\); expected RGB"),
        (IMAGE[:31], "smoke", 3, "64x31 pixels; expected at least 32"),
        (IMAGE[:0], "smoke", 3, "expected at least 32"),
    ],
)
def test_bad_input_is_named(image: np.ndarray, name: str, severity: int, message: str) -> None:
    with pytest.raises(CorruptionError, match=message):
        corrupt(image, name, severity)


def test_bad_parameters_are_named() -> None:
    with pytest.raises(CorruptionError, match="unknown parameter 'density'; known: mean_transmission"):
        corrupt(IMAGE, "smoke", 3, density=1)
    with pytest.raises(CorruptionError, match="takes no parameter"):
        corrupt(IMAGE, "contrast", 3, density=1)
    with pytest.raises(CorruptionError, match="unknown profile 'paper'"):
        corrupt(IMAGE, "contrast", 3, profile="paper")
    with pytest.raises(CorruptionError, match="direction 'up'"):
        corrupt(IMAGE, "gamma_correction", 3, direction="up")
    with pytest.raises(CorruptionError, match=r"expected uint8 \(64, 64\)"):
        corrupt_pair(IMAGE, IMAGE[..., 0].astype(int), "contrast", 3)
