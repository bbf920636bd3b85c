"""What must hold for every corruption."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

import corruptions
from corruptions import (
    CATEGORIES,
    CORRUPTIONS,
    SEVERITIES,
    STANDARD_CORRUPTIONS,
    CorruptionError,
    backend_of,
    corrupt,
    corrupt_pair,
    corruptions_of,
    moves_pixels,
    selected_corruptions,
    sweep,
    sweep_pair,
)
from corruptions.catalogue import STANDARD_CATEGORIES
from corruptions.operators.spatter import spatter
from corruptions.reference import COMMON
from corruptions.registry import describe

ROOT = Path(corruptions.__file__).parents[1]
FALLING_SSIM = (
    *STANDARD_CATEGORIES["noise"],
    *("defocus_blur", "motion_blur", "gaussian_blur", "brightness", "contrast", "elastic_transform", "pixelate"),
    *("jpeg_compression", "smoke", "bleeding", "gamma_correction"),
)


def test_the_standard_has_nineteen_in_four_categories() -> None:
    assert len(STANDARD_CORRUPTIONS) == len(set(STANDARD_CORRUPTIONS)) == 19
    assert [len(names) for names in STANDARD_CATEGORIES.values()] == [4, 5, 4, 6]
    assert set(STANDARD_CORRUPTIONS) <= set(CORRUPTIONS)
    for category, names in STANDARD_CATEGORIES.items():
        assert CATEGORIES[category][: len(names)] == names, "in the paper's order, others after them"
        assert {describe(name).category for name in names} == {category}


def test_lists_are_names_categories_and_the_standard() -> None:
    assert selected_corruptions(["standard"]) == STANDARD_CORRUPTIONS
    assert selected_corruptions(["smoke", "noise", "shot_noise"]) == ("smoke", *STANDARD_CATEGORIES["noise"])
    with pytest.raises(CorruptionError, match="unknown corruption 'nois'. Did you mean 'noise'"):
        selected_corruptions(["nois"])


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("shape", [(224, 224), (33, 47), (32, 400), (400, 32), (32, 6000)])
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


Job = tuple[str, int, int]
JOBS: list[Job] = [(name, index, severity) for name in CORRUPTIONS for index in range(3) for severity in (1, 4)]


def digest_of(job: Job) -> str:
    """What one corruption gives of a picture that each process makes for itself."""
    name, index, severity = job
    image = np.random.default_rng(index).integers(0, 256, (70, 90, 3), np.uint8)
    image = cv2.GaussianBlur(image, (0, 0), 2)
    result = corrupt(image, name, severity, seed=3, image_id=str(index))
    return hashlib.sha256(result.tobytes()).hexdigest()


def test_same_bytes_in_any_order_thread_and_process() -> None:
    alone = {job: digest_of(job) for job in JOBS}
    assert len(set(alone.values())) == len(JOBS)
    np.random.seed(99)  # noqa: NPY002 - somebody else's global state must not matter
    shuffled = [JOBS[i] for i in np.random.default_rng(5).permutation(len(JOBS))]
    assert {job: digest_of(job) for job in shuffled} == alone
    with ThreadPoolExecutor(4) as threads:
        assert dict(zip(shuffled, threads.map(digest_of, shuffled), strict=True)) == alone
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as others:
        assert dict(zip(shuffled, others.map(digest_of, shuffled, chunksize=10), strict=True)) == alone


@pytest.mark.usefixtures("reference")
@pytest.mark.parametrize("name", ["gaussian_noise", "glass_blur", "elastic_transform"])
def test_the_reference_gives_the_same_bytes_in_any_order_and_thread(name: str, frames: list[np.ndarray]) -> None:
    small = [np.ascontiguousarray(frame[::3, ::3]) for frame in frames]

    def run(index: int) -> bytes:
        return corrupt(small[index], name, 4, image_id=str(index), backend="reference").tobytes()

    alone = [run(index) for index in range(len(small))]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, range(len(small)))) == alone


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_sweep_is_its_severities_one_by_one(name: str, frames: list[np.ndarray]) -> None:
    image, mask = frames[1], (frames[1][..., 0] > 120).astype(np.uint8)
    alone = [corrupt_pair(image, mask, name, severity, image_id="s") for severity in SEVERITIES]
    for (one, its_mask), (other, their_mask), single in zip(
        alone, sweep_pair(image, mask, name, image_id="s"), sweep(image, name, image_id="s"), strict=True
    ):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(one, single)
        np.testing.assert_array_equal(its_mask, their_mask)
    assert len(sweep(image, name, (2, 5))) == 2


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_views_are_corrupted_as_copies(name: str, frames: list[np.ndarray]) -> None:
    """A crop, a flip and read-only memory: layouts that compiled loops do not expect."""
    for view in (frames[0][10:90, 20:120], frames[0][:, ::-1], np.asfortranarray(frames[0][:64, :80])):
        frozen = view.view()
        frozen.flags.writeable = False
        np.testing.assert_array_equal(corrupt(frozen, name, 3), corrupt(np.ascontiguousarray(view), name, 3))


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
    structural_similarity = pytest.importorskip("skimage.metrics").structural_similarity
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


@pytest.mark.slow
@pytest.mark.parametrize("name", FALLING_SSIM)
def test_similarity_of_real_frames_falls_with_severity(name: str, textures: list[np.ndarray]) -> None:
    test_similarity_falls_with_severity(name, textures)


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


@pytest.mark.usefixtures("reference")
def test_spatter_without_a_drop_leaves_the_picture() -> None:
    """The reference divides by the largest drop; where there is none its result is not a number."""
    image = np.full((32, 32, 3), 90, np.uint8)
    np.testing.assert_array_equal(spatter(image, 1, np.zeros((32, 32), np.float32)), image)
    bare = [corrupt(image, "spatter", 1, image_id=str(i), backend="reference") for i in range(200)]
    assert any((result == image).all() for result in bare)
    assert all(result.mean() >= 80 for result in bare)


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


@pytest.mark.parametrize("name", [name for name in CORRUPTIONS if not moves_pixels(name)])
def test_other_corruptions_leave_the_mask(name: str, frames: list[np.ndarray]) -> None:
    mask = (frames[0][..., 0] > 100).astype(np.uint8)
    _, after = corrupt_pair(frames[0], mask, name, 3)
    np.testing.assert_array_equal(after, mask)


@pytest.mark.usefixtures("reference")
def test_the_reference_moves_masks_too() -> None:
    mask = np.zeros((96, 96), np.uint8)
    mask[30:70, 20:80] = 3
    image = np.repeat((mask * 80)[..., None], 3, axis=2)
    moved_image, moved = corrupt_pair(image, mask, "elastic_transform", 5, backend="reference")
    assert ((moved_image[..., 0] > 120) == (moved == 3)).mean() > 0.97
    assert (moved != mask).any()


@pytest.mark.parametrize("name", ["smoke", "gaussian_noise", "elastic_transform", "bleeding"])
def test_without_an_id_the_content_decides(name: str) -> None:
    first = np.random.default_rng(1).integers(60, 160, (48, 64, 3), np.uint8)
    other = first.copy()
    other[0, 0, 0] += 1
    mask = np.zeros(first.shape[:2], np.uint8)
    once, twice = corrupt(first, name, 3), corrupt(first.copy(order="F"), name, 3)
    np.testing.assert_array_equal(once, twice)
    np.testing.assert_array_equal(once, sweep(first, name, [1, 3])[1])
    np.testing.assert_array_equal(once, corrupt_pair(first, mask, name, 3)[0])
    far = np.abs(corrupt(other, name, 3)[1:].astype(int) - once[1:])
    assert far.max() > 5, "one pixel is other, all details are"
    same = corrupt(other, name, 3, image_id="a")[8:] == corrupt(first, name, 3, image_id="a")[8:]
    assert same.mean() > 0.9, "with an id the details stay"


def test_backends() -> None:
    own = {"smoke", "bleeding", "gamma_correction", *CORRUPTIONS} - {*COMMON}
    assert len(COMMON) == 16 and {backend_of(name) for name in CORRUPTIONS} == {"fast"}
    for name in CORRUPTIONS:
        if name in own:
            with pytest.raises(CorruptionError, match="the backend 'reference' does not have it; use 'fast' or 'auto'"):
                backend_of(name, "reference")
        else:
            assert backend_of(name, "reference") == "reference"
    with pytest.raises(CorruptionError, match="Known: auto, fast, reference"):
        backend_of("smoke", "quick")


def copy_with_mist(folder: Path) -> dict[str, str]:
    """Follow CONTRIBUTING.md's recipe in a copy of the project; returns the environment that uses the copy."""
    for name in ("corruptions", "tests", "benchmarks", "reports", "endoarss", "pipeline"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    (recipe,) = re.findall(r"```python\n(\"\"\"Mist:.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
    (folder / "corruptions/operators/mist.py").write_text(recipe)
    return os.environ | {"PYTHONPATH": str(folder)}


def test_the_recipe_gives_a_new_corruption_and_leaves_the_standard_list(tmp_path: Path) -> None:
    environment = copy_with_mist(tmp_path)
    script = (
        "import numpy as np, corruptions as c;"
        "assert c.CATEGORIES['occlusion'][-1] == 'mist' and 'mist' in c.CORRUPTIONS;"
        "assert len(c.selected_corruptions(['standard'])) == 19 and 'mist' not in c.selected_corruptions(['occlusion']);"
        "i = np.full((64, 64, 3), 50, np.uint8);"
        "assert (c.corrupt(i, 'mist', 5) > c.corrupt(i, 'mist', 1)).all()"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, check=True)


def test_names_are_known_without_the_compiler() -> None:
    """Planning a study reads the names; it must not wait for numba, scipy or the reference library."""
    script = (
        "import sys, corruptions; print(sorted({'numba', 'scipy', 'torch', 'imagecorruptions'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "fault",
    [
        "caching.CacheImpl._locator_classes = []",
        "caching.IndexDataCacheFile.save = lambda *_: os.fsync(9999)",  # an OSError, as a full disk gives one
    ],
)
def test_loops_run_where_nothing_can_be_kept(tmp_path: Path, fault: str) -> None:
    """Without a folder for compiled code, or with a full one, each process compiles for itself."""
    script = (
        "import os, numpy as np;"
        f"from numba.core import caching; {fault};"
        "from corruptions import corrupt;"
        "image = np.full((40, 40, 3), 100, np.uint8);"
        "assert (corrupt(image, 'brightness', 1) == 126).all()"
    )
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)


IMAGE = np.zeros((64, 64, 3), np.uint8)


@pytest.mark.parametrize(
    ("image", "name", "severity", "message"),
    [
        (IMAGE, "smoke", 6, "severity 6; expected a whole number from 1 to 5"),
        (IMAGE, "smoke", 0, "severity 0"),
        (IMAGE, "smoke", True, "severity True"),
        (IMAGE, "fog", 3, "unknown corruption 'fog'. Known: gaussian_noise"),
        (
            IMAGE,
            "Motion-Blur",
            3,
            r"unknown corruption 'Motion-Blur'. Did you mean 'motion_blur'( or '\w+')*\? Known: ",
        ),
        (IMAGE.astype(np.float32), "smoke", 3, "type float32; expected a numpy array of uint8"),
        (IMAGE.astype(np.uint16), "smoke", 3, "type uint16"),
        (IMAGE[..., 0], "smoke", 3, r"shape \(64, 64\); expected RGB .*Repeat a grey image"),
        (IMAGE[..., :1], "smoke", 3, r"shape \(64, 64, 1\); expected RGB .*Repeat a grey image"),
        (np.zeros((64, 64, 4), np.uint8), "smoke", 3, r"shape \(64, 64, 4\); expected RGB: drop the fourth channel"),
        (IMAGE[None], "smoke", 3, r"shape \(1, 64, 64, 3\); expected RGB"),
        (IMAGE.tolist(), "smoke", 3, "type list; expected a numpy array of uint8"),
        (IMAGE, "smoke", 2.5, "severity 2.5"),
        (IMAGE, "smoke", 2.0, "severity 2.0"),
        (IMAGE, "smoke", np.True_, "severity"),
        (IMAGE, "smoke", np.array([1, 2]), "severity array"),
        (IMAGE[:31], "smoke", 3, "64x31 pixels; expected at least 32"),
        (IMAGE[:0], "smoke", 3, "expected at least 32"),
    ],
)
def test_bad_input_is_named(image: np.ndarray, name: str, severity: int, message: str) -> None:
    with pytest.raises(CorruptionError, match=message):
        corrupt(image, name, severity)


def test_bad_parameters_are_named() -> None:
    with pytest.raises(CorruptionError, match="smoke: unknown parameter 'density'. Known: mean_transmission"):
        corrupt(IMAGE, "smoke", 3, density=1)
    with pytest.raises(CorruptionError, match="unknown parameter 'density'; it has no parameters"):
        corrupt(IMAGE, "contrast", 3, density=1)
    with pytest.raises(CorruptionError, match="unknown profile 'paper'"):
        corrupt(IMAGE, "contrast", 3, profile="paper")
    with pytest.raises(CorruptionError, match="unknown profile 'paper'"):
        corruptions_of("paper")
    with pytest.raises(CorruptionError, match="unknown corruption 'fogg'"):
        moves_pixels("fogg")
    with pytest.raises(CorruptionError, match="direction 'up'"):
        corrupt(IMAGE, "gamma_correction", 3, direction="up")
    for name, parameter in (("smoke", "mean_transmission"), ("bleeding", "coverage")):
        for value in ("half", 0, 1, float("nan")):
            with pytest.raises(CorruptionError, match=f"{name}: {parameter} .*; expected a number between 0 and 1"):
                corrupt(IMAGE, name, 3, **{parameter: value})
    with pytest.raises(CorruptionError, match="severities 3; expected a sequence"):
        sweep(IMAGE, "smoke", 3)
    assert corrupt(IMAGE, "contrast", np.int64(3), image_id="\udc80").shape == IMAGE.shape
    with pytest.raises(CorruptionError, match="unknown parameter 'coverage'; it has no parameters"):
        corrupt(IMAGE, "contrast", 3, backend="reference", coverage=0.5)
    with pytest.raises(CorruptionError, match=r"expected uint8 \(64, 64\)"):
        corrupt_pair(IMAGE, IMAGE[..., 0].astype(int), "contrast", 3)
