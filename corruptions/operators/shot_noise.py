"""Shot noise: the number of photons varies, Poisson(v c) / c, where c is the count at full brightness."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from corruptions.compiled import compiled
from corruptions.noise import bits_of_values, each_value
from corruptions.randomness import LEVELS
from corruptions.registry import Image, register_corruption

PHOTONS = (60, 25, 12, 5, 3)


@register_corruption("shot_noise", "noise", prepare=bits_of_values)
def shot_noise(image: Image, severity: int, bits: NDArray[np.uint16]) -> Image:
    """Draw each value's photon count from its distribution function; all severities use the same random bits."""
    photons = PHOTONS[severity - 1]
    shares, starts = _distribution(photons)
    values = np.rint(255 * np.arange(photons + 1) / photons).astype(np.uint8)
    return each_value(_draw_counts, image, bits, shares, starts, values)


@cache
def _distribution(photons: int) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Return the tables of the photon counts.

    Returns:
        The distribution function of the count for each value, times 65536: int32 (256, photons). Counts of `photons` and above are white.
        The index at which the search in it starts, by value and upper half of the random bits: uint8 (256, 256).
    """
    from scipy.special import pdtr

    mean = np.arange(256)[:, None] / 255 * photons
    shares = np.rint(pdtr(np.arange(photons)[None, :], mean) * LEVELS).astype(np.int32)
    starts = [np.searchsorted(row, np.arange(256) * 256, side="right") for row in shares]
    return shares, np.array(starts, np.uint8)


@compiled
def _draw_counts(
    image: Image,
    bits: NDArray[np.uint16],
    shares: NDArray[np.int32],
    starts: NDArray[np.uint8],
    values: NDArray[np.uint8],
    result: Image,
) -> None:
    white = shares.shape[1]
    for i in range(image.size):
        value, drawn = image[i], bits[i]
        count = np.int64(starts[value, drawn >> 8])
        while count < white and drawn >= shares[value, count]:
            count += 1
        result[i] = values[count]
