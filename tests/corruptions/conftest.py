"""Pictures that the tests of corruptions share."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import cv2
import numpy as np
import pytest


def smooth_picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Large soft patches of all colours with a little noise."""
    random = np.random.default_rng(seed)
    soft = cv2.resize(random.integers(0, 256, (9, 11, 3), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(soft.astype(int) + random.integers(-20, 21, soft.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def soft() -> Callable[[int, int], np.ndarray]:
    """`smooth_picture`."""
    return smooth_picture


@pytest.fixture(scope="session")
def reference() -> None:
    """Skip a test of the reference backend where its library, the extra `reference`, is not installed."""
    if find_spec("imagecorruptions") is None:
        pytest.skip("imagecorruptions is not installed (the extra `reference` has it)")


@pytest.fixture(scope="session")
def textures(sample_data) -> list[np.ndarray]:
    """Real frames, 224x224: two of a laparoscopy, two of a gastroscopy, one of EndoVis 2017. Skipped where there are none."""
    folder = sample_data / "textures"
    files = [*sorted((folder / "cholec/frames").glob("*.png"))[:2], *sorted((folder / "kvasir").rglob("*.jpg"))[:2]]
    files.append(sample_data / "endovis2017/five_frames/left_frames/frame001.png")
    pictures = [cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB) for file in files]
    return [cv2.resize(picture, (224, 224), interpolation=cv2.INTER_AREA) for picture in pictures]
