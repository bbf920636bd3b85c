"""Gaussian noise, as from an electronic sensor in low light: v + N(0, c)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from corruptions.noise import add_normal, bits_of_values
from corruptions.registry import Image, register_corruption

DEVIATION = (0.08, 0.12, 0.18, 0.26, 0.38)


@register_corruption("gaussian_noise", "noise", prepare=bits_of_values)
def gaussian_noise(image: Image, severity: int, bits: NDArray[np.uint16]) -> Image:
    """Add noise of the same deviation to every value; the noise of two severities differs only by its scale."""
    return add_normal(image, bits, np.full(256, 255 * DEVIATION[severity - 1], np.float32))
