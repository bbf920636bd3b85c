"""Spatter: drops of water (severities 1 to 3) or mud (4 and 5) on the lens."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from corruptions.compiled import compiled
from corruptions.filters import Field, gaussian
from corruptions.randomness import Randomness
from corruptions.registry import Image, register_corruption

# Mean and deviation of the noise, sigma of its smoothing in pixels, and the level above which there is a drop.
WATER = ((0.65, 0.3, 4, 0.69), (0.65, 0.3, 3, 0.68), (0.65, 0.3, 2, 0.68))
MUD = ((0.65, 0.3, 1, 0.65), (0.67, 0.4, 1, 0.65))
_WATER_OPACITY = (0.6, 0.6, 0.5)
_MUD_SIGMA = 1.5
# Pale turquoise and brown.
_WATER_COLOUR = np.array([175, 238, 238], np.float32)
_MUD_COLOUR = np.array([63, 42, 20], np.float32)


def _noise(image: Image, randomness: Randomness) -> NDArray[np.float32]:
    """Draw one standard normal number per pixel (H, W), the same at all severities."""
    return randomness.normal(*image.shape[:2])


@register_corruption("spatter", "occlusion", prepare=_noise)
def spatter(image: Image, severity: int, noise: NDArray[np.float32]) -> Image:
    """Put drops where the smoothed noise is high."""
    result = np.empty_like(image, order="C")
    if severity <= len(WATER):
        drops = water_drops(noise, *WATER[severity - 1])
        if drops.max() == 0:
            return image.copy()  # no drop fell on a small image
        opacity = drops * np.float32(_WATER_OPACITY[severity - 1] / drops.max())
        _blend(np.ascontiguousarray(image), np.zeros_like(opacity), opacity, _WATER_COLOUR, result)
    else:
        opacity = mud_drops(noise, *MUD[severity - 1 - len(WATER)])
        _blend(np.ascontiguousarray(image), opacity, opacity, _MUD_COLOUR, result)
    return result


def water_drops(noise: Field, mean: float, deviation: float, sigma: float, level: float) -> Field:
    """Return how much light drops of water add, without unit: float32 (H, W). They are brightest along their lower right rims."""
    layer = _smoothed(noise, mean, deviation, sigma)
    drops = np.where(layer < level, 0, layer * 255).astype(np.uint8)
    distance = cv2.distanceTransform(255 - cv2.Canny(drops, 50, 150), cv2.DIST_L2, 5)
    near = cv2.blur(np.minimum(distance, 20), (3, 3)).astype(np.uint8)
    slope = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], np.float32)
    lit = cv2.blur(cv2.filter2D(cv2.equalizeHist(near), cv2.CV_8U, slope), (3, 3))
    return drops * lit.astype(np.float32)


def mud_drops(noise: Field, mean: float, deviation: float, sigma: float, level: float) -> Field:
    """Return how much of the scene mud hides, 0 or 0.8 to 1: float32 (H, W)."""
    mud = (_smoothed(noise, mean, deviation, sigma) > level).astype(np.float32)
    cover = gaussian(mud, _MUD_SIGMA, "nearest")
    return np.where(cover < np.float32(0.8), np.float32(0), cover)


def _smoothed(noise: Field, mean: float, deviation: float, sigma: float) -> Field:
    """Return the noise with the given mean and deviation, smoothed."""
    return gaussian(noise * np.float32(deviation) + np.float32(mean), sigma, "nearest")


@compiled
def _blend(image: Image, hidden: Field, added: Field, colour: Field, result: Image) -> None:
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            visible, extra = np.float32(1) - hidden[y, x], added[y, x]
            for c in range(3):
                mixed = np.float32(image[y, x, c]) * visible + extra * colour[c] + np.float32(0.5)
                result[y, x, c] = np.uint8(min(max(mixed, np.float32(0)), np.float32(255)))
