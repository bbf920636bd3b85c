"""Smooth random fields that look the same at any resolution: drawn on small lattices, then enlarged."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from corruptions.compiled import compiled
from corruptions.randomness import Randomness

Field = NDArray[np.float32]
# Fields are computed at no more than this many pixels a side and enlarged from there.
LARGEST = 512


def field_size(height: int, width: int) -> tuple[int, int]:
    """Height and width to compute a field at: the image's own, or smaller with the same shape."""
    scale = min(1.0, LARGEST / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def enlarge(field: Field, height: int, width: int) -> Field:
    """Bring a field (h, w) to the image's size by linear interpolation between pixel centres: float32 (H, W)."""
    if field.shape == (height, width):
        return field
    result = np.empty((height, width), np.float32)
    _enlarge(
        np.ascontiguousarray(field), *_neighbours(field.shape[0], height), *_neighbours(field.shape[1], width), result
    )
    return result


def _neighbours(count: int, wanted: int) -> tuple[NDArray[np.int64], NDArray[np.int64], Field]:
    """For each of the wanted places the two nearest of `count` pixel centres, and the second's share."""
    places = np.clip((np.arange(wanted) + 0.5) * (count / wanted) - 0.5, 0, count - 1)
    first = places.astype(np.int64)
    return first, np.minimum(first + 1, count - 1), (places - first).astype(np.float32)


@compiled
def _enlarge(
    field: Field,
    upper: NDArray[np.int64],
    lower: NDArray[np.int64],
    down: Field,
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    across: Field,
    result: Field,
) -> None:
    line = np.empty(field.shape[1], np.float32)
    for y in range(result.shape[0]):
        above, below, share = field[upper[y]], field[lower[y]], down[y]
        for x in range(line.size):
            line[x] = above[x] + share * (below[x] - above[x])
        for x in range(result.shape[1]):
            result[y, x] = line[left[x]] + across[x] * (line[right[x]] - line[left[x]])


def fractal_noise(
    randomness: Randomness, height: int, width: int, cells: int, octaves: int, gain: float = 0.5
) -> Field:
    """Sum of smooth noises with `cells`, 2 `cells`, ... bumps a side: zero mean, unit deviation, float32 (H, W).

    The lattices do not depend on the size, so that two resolutions of one image get the same field.
    """
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        lattice = randomness.normal(cells * 2**octave + 2, cells * 2**octave + 2)
        smooth = _cubic(lattice.shape[0], height) @ lattice @ _cubic(lattice.shape[1], width).T
        total += np.float32(gain**octave) * smooth.astype(np.float32)
    return ((total - total.mean()) / (total.std() + 1e-6)).astype(np.float32)


def _cubic(count: int, wanted: int) -> NDArray[np.float64]:
    """The matrix (wanted, count) that interpolates by Keys' cubic (1981, a = -3/4) between pixel centres, borders repeated."""
    places = (np.arange(wanted) + 0.5) * (count / wanted) - 0.5
    matrix = np.zeros((wanted, count))
    first = np.floor(places).astype(np.int64) - 1
    for k in range(4):
        distance = np.abs(places - (first + k))
        near = (1.25 * distance - 2.25) * distance**2 + 1
        far = ((-0.75 * distance + 3.75) * distance - 6) * distance + 3
        weights = np.where(distance <= 1, near, np.where(distance < 2, far, 0))
        np.add.at(matrix, (np.arange(wanted), np.clip(first + k, 0, count - 1)), weights)
    return matrix


def unit_grid(height: int, width: int) -> tuple[Field, Field]:
    """Pixel centres in units of the shorter side, (x, y), the origin in the top left corner."""
    short = min(height, width)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return (x + 0.5) / short, (y + 0.5) / short
