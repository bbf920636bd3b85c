"""Smooth random fields that look the same at any resolution: drawn on small lattices, then enlarged."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
# Fields are computed at no more than this many pixels a side and enlarged from there.
LARGEST = 512


def field_size(height: int, width: int) -> tuple[int, int]:
    """Height and width to compute a field at: the image's own, or smaller with the same shape."""
    scale = min(1.0, LARGEST / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def enlarge(field: Field, height: int, width: int) -> Field:
    """Bring a field to the image's size."""
    if field.shape == (height, width):
        return field
    return cv2.resize(field, (width, height), interpolation=cv2.INTER_LINEAR)


def fractal_noise(
    rng: np.random.Generator, height: int, width: int, cells: int, octaves: int, gain: float = 0.5
) -> Field:
    """Sum of smooth noises with `cells`, 2 `cells`, ... bumps a side: zero mean, unit deviation, float32 (H, W).

    The lattices do not depend on the size, so that two resolutions of one image get the same field.
    """
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        lattice = rng.standard_normal((cells * 2**octave + 2,) * 2).astype(np.float32)
        total += gain**octave * cv2.resize(lattice, (width, height), interpolation=cv2.INTER_CUBIC)
    return ((total - total.mean()) / (total.std() + 1e-6)).astype(np.float32)


def unit_grid(height: int, width: int) -> tuple[Field, Field]:
    """Pixel centres in units of the shorter side, (x, y), the origin in the top left corner."""
    short = min(height, width)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return (x + 0.5) / short, (y + 0.5) / short
