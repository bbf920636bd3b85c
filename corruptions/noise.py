"""Code that the noise corruptions share: random bits for each value, and loops over all values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from corruptions.compiled import compiled
from corruptions.randomness import Randomness, normal_quantiles
from corruptions.registry import Image


def bits_of_values(image: Image, randomness: Randomness) -> NDArray[np.uint16]:
    """Return 16 random bits for each value of the image: uint16 (H, W, 3)."""
    return randomness.bits(*image.shape)


def each_value(loop: Callable[..., None], image: Image, bits: NDArray[np.uint16], *arguments: object) -> Image:
    """Run a loop over all values of an image and their random bits, flattened; return the image that it fills."""
    result = np.empty_like(image, order="C")
    loop(np.ascontiguousarray(image).reshape(-1), bits.reshape(-1), *arguments, result.reshape(-1))
    return result


def add_normal(image: Image, bits: NDArray[np.uint16], deviation: NDArray[np.float32]) -> Image:
    """Add to each value v a normal number of standard deviation deviation[v], float32 (256,), in units of 1/255."""
    return each_value(_add_normal, image, bits, normal_quantiles(), deviation)


@compiled
def _add_normal(
    image: Image,
    bits: NDArray[np.uint16],
    quantiles: NDArray[np.float32],
    deviation: NDArray[np.float32],
    result: Image,
) -> None:
    for i in range(image.size):
        value = image[i]
        noisy = np.float32(value) + deviation[value] * quantiles[bits[i]] + np.float32(0.5)
        result[i] = np.uint8(min(max(noisy, np.float32(0)), np.float32(255)))
