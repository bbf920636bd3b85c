"""Speckle noise: v + v N(0, c), stronger where the image is brighter."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from corruptions.noise import add_normal, bits_of_values
from corruptions.registry import Image, register_corruption

DEVIATION = (0.15, 0.2, 0.35, 0.45, 0.6)


@register_corruption("speckle_noise", "noise", prepare=bits_of_values)
def speckle_noise(image: Image, severity: int, bits: NDArray[np.uint16]) -> Image:
    """Add noise in proportion to every value; the noise of two severities differs only by its scale."""
    return add_normal(image, bits, np.float32(DEVIATION[severity - 1]) * np.arange(256, dtype=np.float32))
