"""Impulse noise: a share of all values is lost; on average, half of them become black and half white."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from corruptions.compiled import compiled
from corruptions.noise import bits_of_values, each_value
from corruptions.randomness import LEVELS
from corruptions.registry import Image, register_corruption

SHARE = (0.03, 0.06, 0.09, 0.17, 0.27)


@register_corruption("impulse_noise", "noise", prepare=bits_of_values)
def impulse_noise(image: Image, severity: int, bits: NDArray[np.uint16]) -> Image:
    """Replace values; each value that a severity replaces gets the same replacement at every higher severity."""
    return each_value(_replace, image, bits, round(SHARE[severity - 1] * LEVELS))


@compiled
def _replace(image: Image, bits: NDArray[np.uint16], lost: int, result: Image) -> None:
    for i in range(image.size):
        # The lowest bit decides between black and white; the others decide whether the value is lost.
        result[i] = (np.uint8(255) if bits[i] & 1 else np.uint8(0)) if bits[i] < lost else image[i]
