"""Motion blur: the camera moves in one direction, with most weight at the start of its path."""

from __future__ import annotations

import math

import numpy as np

from corruptions.filters import rounded, weighted_shifts
from corruptions.randomness import Randomness
from corruptions.registry import Image, register_corruption

# Reach and sigma of the one-sided Gaussian along the path, in pixels.
REACH_SIGMA = ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))


def _angle(image: Image, randomness: Randomness) -> float:
    """Draw the direction in degrees, the same at all severities."""
    return float(randomness.uniform(-45, 45))


@register_corruption("motion_blur", "blur", prepare=_angle)
def motion_blur(image: Image, severity: int, angle: float) -> Image:
    """Average the image along a path of 2 reach + 1 whole pixels; a path that leaves the image ends there."""
    reach, sigma = REACH_SIGMA[severity - 1]
    steps = 2 * reach + 1
    weights = np.exp(-0.5 * (np.arange(steps) / sigma) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    down, across = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    # The copies move by (-ceil(k down - 1/2), -ceil(k across - 1/2)), so the shifts point the other way.
    shifts = np.array([(math.ceil(k * down - 0.5), math.ceil(k * across - 0.5)) for k in range(steps)])
    inside = np.cumprod((np.abs(shifts) < image.shape[:2]).all(axis=1)).astype(bool)
    return rounded(weighted_shifts(image, shifts[inside], weights[inside], "nearest"))
