"""Noise that adds to each value an amount that depends on the value: what Gaussian and speckle noise share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from corruptions.compiled import compiled
from corruptions.randomness import Randomness, normal_quantiles
from corruptions.registry import Image


def bits_of_values(image: Image, randomness: Randomness) -> NDArray[np.uint16]:
    """16 random bits for each value of the picture (H, W, 3)."""
    return randomness.bits(*image.shape)


def add_normal(image: Image, bits: NDArray[np.uint16], deviation: NDArray[np.float32]) -> Image:
    """Add to each value v a normal number of standard deviation deviation[v], float32 (256,), in steps of 1/255."""
    result = np.empty_like(image, order="C")
    flat = np.ascontiguousarray(image).reshape(-1)
    _add_normal(flat, bits.reshape(-1), normal_quantiles(), deviation, result.reshape(-1))
    return result


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
