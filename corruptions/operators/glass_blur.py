"""Glass blur: the image is blurred, neighbouring pixels are shuffled, and it is blurred again, as through frosted glass."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from corruptions.compiled import compiled
from corruptions.filters import gaussian, rounded, truncated
from corruptions.randomness import Randomness
from corruptions.registry import Image, register_corruption

# Sigma of the blur and largest distance of a shuffled pixel, both in pixels, and number of rounds of shuffling.
BLUR_DISTANCE_ROUNDS = ((0.7, 1, 2), (0.9, 2, 1), (1.0, 2, 3), (1.1, 3, 2), (1.5, 4, 2))
_MOST_ROUNDS = max(rounds for _, _, rounds in BLUR_DISTANCE_ROUNDS)


def _bits(image: Image, randomness: Randomness) -> NDArray[np.uint16]:
    """Return 16 random bits per round and pixel (rounds, H, W): 8 for the row and 8 for the column."""
    return randomness.bits(_MOST_ROUNDS, *image.shape[:2])


@register_corruption("glass_blur", "blur", prepare=_bits)
def glass_blur(image: Image, severity: int, bits: NDArray[np.uint16]) -> Image:
    """Blur, shuffle and blur. Offsets lie in [-distance, distance), as the reference draws them."""
    sigma, distance, rounds = BLUR_DISTANCE_ROUNDS[severity - 1]
    shuffled = truncated(gaussian(image, sigma, "nearest"))  # the reference truncates here
    shuffle(shuffled, bits[:rounds], distance)
    return rounded(gaussian(shuffled, sigma, "nearest"))


@compiled
def shuffle(pixels: Image, bits: NDArray[np.uint16], distance: int) -> None:
    """Give each pixel, from the last to the first, the colour of a neighbour, in place.

    The reference intends to swap the two colours, but its assignment copies one. Each byte b of the bits gives an offset,
    b * 2 distance // 256 - distance, which is exactly uniform for the distances 1, 2 and 4, and uniform up to 1/256 for 3.

    Args:
        pixels: uint8 (H, W, 3).
        bits: uint16 (rounds, H, W).
        distance: in pixels.
    """
    rounds, height, width = bits.shape
    for r in range(rounds):
        for y in range(height - distance, distance, -1):
            for x in range(width - distance, distance, -1):
                drawn = np.int64(bits[r, y, x])
                row = y + (drawn >> 8) * 2 * distance // 256 - distance
                column = x + (drawn & 255) * 2 * distance // 256 - distance
                for channel in range(pixels.shape[2]):
                    pixels[y, x, channel] = pixels[row, column, channel]
