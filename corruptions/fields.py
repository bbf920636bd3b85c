"""Smooth random fields that look the same at any resolution: they are drawn on small lattices, then enlarged."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from corruptions.compiled import compiled
from corruptions.randomness import Randomness

Field = NDArray[np.float32]
# Fields are computed with at most this many pixels per side, then enlarged.
LARGEST = 512
_SMALLEST = 8  # pixels of the shorter side, for very long images


def field_size(height: int, width: int) -> tuple[int, int]:
    """Return the height and width at which a field is computed: the image's own, or smaller with the same aspect ratio."""
    scale = min(1.0, LARGEST / max(height, width))
    return max(_SMALLEST, round(height * scale)), max(_SMALLEST, round(width * scale))


def enlarge(field: Field, height: int, width: int) -> Field:
    """Resize a field (h, w) to the image's size by linear interpolation between pixel centres: float32 (H, W)."""
    if field.shape == (height, width):
        return field
    result = np.empty((height, width), np.float32)
    _enlarge(
        np.ascontiguousarray(field), *_neighbours(field.shape[0], height), *_neighbours(field.shape[1], width), result
    )
    return result


def _neighbours(count: int, length: int) -> tuple[NDArray[np.int64], NDArray[np.int64], Field]:
    """Return the two nearest of `count` pixel centres for each of `length` positions: their indices, and the weight of the second."""
    places = np.clip((np.arange(length) + 0.5) * (count / length) - 0.5, 0, count - 1)
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
    """Return a sum of smooth noises with `cells`, 2 `cells`, 4 `cells`, ... bumps per side: zero mean, unit deviation, float32 (H, W).

    The lattices do not depend on the size, so two resolutions of one image get the same field.
    """
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        count = cells * 2**octave + 2
        lattice = randomness.normal(count, count) * np.float32(gain**octave)
        _add_cubic(lattice, *_cubic(count, height), *_cubic(count, width), total)
    total -= total.mean()
    total /= total.std() + np.float32(1e-6)
    return total


def _cubic(count: int, length: int) -> tuple[NDArray[np.int64], Field]:
    """Return the four neighbours of each of `length` positions among `count` pixel centres, and their weights (length, 4).

    Indices beyond the border are clipped to it. The weights are Keys' cubic (1981, a = -3/4).
    """
    places = (np.arange(length) + 0.5) * (count / length) - 0.5
    around = np.floor(places).astype(np.int64)[:, None] + np.arange(-1, 3)
    distance = np.abs(places[:, None] - around)
    near = (1.25 * distance - 2.25) * distance**2 + 1
    far = ((-0.75 * distance + 3.75) * distance - 6) * distance + 3
    return np.clip(around, 0, count - 1), np.where(distance <= 1, near, far).astype(np.float32)


@compiled
def _add_cubic(
    lattice: Field, rows: NDArray[np.int64], down: Field, columns: NDArray[np.int64], across: Field, total: Field
) -> None:
    line = np.empty(lattice.shape[1], np.float32)
    for y in range(total.shape[0]):
        line[:] = 0
        for k in range(4):
            line += down[y, k] * lattice[rows[y, k]]
        for x in range(total.shape[1]):
            for k in range(4):
                total[y, x] += across[x, k] * line[columns[x, k]]


def unit_grid(height: int, width: int) -> tuple[Field, Field]:
    """Return the pixel centres in units of the shorter side, x (1, W) and y (H, 1); the origin is the top left corner."""
    short = min(height, width)
    y, x = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None, :]
    return (x + np.float32(0.5)) / np.float32(short), (y + np.float32(0.5)) / np.float32(short)
