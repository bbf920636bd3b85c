"""The profile `authors_code` does what the script behind the paper's robustness figures does, as far as it is known.

- Each image is resized to 256x256 (bilinear), corrupted, and resized back. Corrupted values are truncated, except for gamma_correction.
- glass_blur shuffles only the top left 224x224 pixels.
- elastic_transform is the first version of ImageNet-C (Hendrycks & Dietterich 2019): it tilts the image, then moves pixels. Masks are
  not moved.
- gamma_correction has its own table; its third severity is the mildest.
- The code of smoke and bleeding was not released.
"""

from __future__ import annotations

import cv2
import numpy as np

from corruptions.filters import gaussian, truncated
from corruptions.operators.gamma_correction import power
from corruptions.operators.glass_blur import BLUR_DISTANCE_ROUNDS, shuffle
from corruptions.randomness import LEVELS, Randomness
from corruptions.reference import reference_corrupt
from corruptions.registry import Image

SIZE = 256  # pixels per side of the resized image
GLASS = 224  # pixels per side of the corner that glass_blur shuffles
GAMMA = (1.6, 1.4, 1.2, 0.8, 0.6)
# Strength, sigma and tilt of the elastic transform, in pixels of a 244-pixel image.
ELASTIC = ((488.0, 170.8, 24.4), (488.0, 19.52, 48.8), (12.2, 2.44, 4.88), (17.08, 2.44, 4.88), (29.28, 2.44, 4.88))
AUTHORS_CODE_LACKS = "its code and parameters were not released"


def corrupt_as_authors(image: Image, name: str, severity: int, key: int) -> Image:
    """Return the image corrupted as for the paper's figures.

    Args:
        image: uint8 RGB (H, W, 3).
        name: a name of `corruptions_of("authors_code")`.
        severity: 1 to 5.
        key: the key of the random numbers.

    Returns:
        uint8 RGB (H, W, 3).
    """
    small = cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
    if name == "glass_blur":
        corrupted = _glass(small, severity, Randomness(key, name, ""))
    elif name == "elastic_transform":
        corrupted = _elastic(small, severity, Randomness(key, name, ""))
    elif name == "gamma_correction":
        corrupted = power(small, GAMMA[severity - 1])
    else:
        corrupted = reference_corrupt(small, name, severity, key)
    return cv2.resize(corrupted, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR)


def _glass(image: Image, severity: int, randomness: Randomness) -> Image:
    """Return the glass blur of a 256x256 image."""
    sigma, distance, rounds = BLUR_DISTANCE_ROUNDS[severity - 1]
    blurred = truncated(gaussian(image, sigma, "nearest"))
    corner = np.ascontiguousarray(blurred[:GLASS, :GLASS])
    shuffle(corner, randomness.bits(rounds, GLASS, GLASS), distance)
    blurred[:GLASS, :GLASS] = corner
    return truncated(gaussian(blurred, sigma, "nearest"))


def elastic_maps(severity: int, randomness: Randomness) -> tuple[np.ndarray, np.ndarray]:
    """Return the tilt, an affine matrix (2, 3), and the displacement that follows it, down and across: float32 (2, 256, 256)."""
    strength, sigma, tilt = ELASTIC[severity - 1]
    middle, third = SIZE // 2, SIZE // 3
    corners = np.array([(1, 1), (1, -1), (-1, -1)], np.float32) * third + middle
    moved = corners + randomness.uniform(-tilt, tilt, 3, 2).astype(np.float32)
    noise = (randomness.bits(2, SIZE, SIZE) + np.float32(0.5)) * np.float32(2 / LEVELS) - np.float32(1)
    field = [gaussian(plane, sigma, "reflect", truncate=3) * np.float32(strength) for plane in noise]
    return cv2.getAffineTransform(corners, moved.astype(np.float32)), np.stack(field)


def _elastic(image: Image, severity: int, randomness: Randomness) -> Image:
    """Return the elastic transform of a 256x256 image."""
    tilt, moves = elastic_maps(severity, randomness)
    tilted = cv2.warpAffine(image.astype(np.float32), tilt, (SIZE, SIZE), borderMode=cv2.BORDER_REFLECT_101)
    rows, columns = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    moved = cv2.remap(tilted, columns + moves[1], rows + moves[0], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return truncated(moved)
