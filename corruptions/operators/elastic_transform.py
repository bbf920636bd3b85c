"""Elastic transform: pixels move a little, and neighbours move similarly. Of the nineteen corruptions only this one moves the mask."""

from __future__ import annotations

import numpy as np

from corruptions.compiled import compiled
from corruptions.fields import Field, enlarge, field_size
from corruptions.filters import gaussian
from corruptions.randomness import LEVELS, Randomness
from corruptions.registry import Image, Mask, register_corruption

STRENGTH = (12.5, 16.25, 21.25, 25.0, 30.0)
# Sigma of the smoothing, as a share of each side, and largest value of the noise before it, as a share of the height.
_SIGMA, _NOISE = 0.01, 0.005


def _displacement(image: Image, randomness: Randomness) -> Field:
    """Return how far each pixel moves at strength 1, in pixels: float32 (2, H, W), down and across.

    It is uniform noise smoothed by a Gaussian. For images above `fields.LARGEST` the noise is drawn at a smaller size, where sigma is
    smaller too. This raises the deviation of the smoothed noise, and `amount` corrects it. Sigma is at least 1.5 pixels, so the sides of
    the noise are not reduced below 150 pixels.
    """
    height, width = image.shape[:2]
    smaller = field_size(height, width)
    rows, columns = (min(side, max(small, 150)) for side, small in zip((height, width), smaller, strict=True))
    noise = (randomness.bits(2, rows, columns) + np.float32(0.5)) * np.float32(2 / LEVELS) - np.float32(1)
    amount = np.float32(_NOISE * height * (rows * columns / (height * width)) ** 0.5)
    sigma = (_SIGMA * rows, _SIGMA * columns)
    smooth = [gaussian(plane * amount, sigma, "reflect", truncate=3) for plane in noise]
    return np.stack([enlarge(plane, height, width) for plane in smooth])


def _move_mask(mask: Mask, severity: int, displacement: Field) -> Mask:
    """Move a mask of ids (H, W) as the image moves; each pixel gets the id with the largest share."""
    result = np.empty_like(mask, order="C")
    _sample_ids(np.ascontiguousarray(mask), displacement, np.float32(STRENGTH[severity - 1]), result)
    return result


@register_corruption("elastic_transform", "digital", prepare=_displacement, move=_move_mask)
def elastic_transform(image: Image, severity: int, displacement: Field) -> Image:
    """Sample each pixel at its displaced position, by linear interpolation; the image is mirrored at its edges."""
    result = np.empty_like(image, order="C")
    _sample(np.ascontiguousarray(image), displacement, np.float32(STRENGTH[severity - 1]), result)
    return result


@compiled
def _sample(image: Image, displacement: Field, strength: np.float32, result: Image) -> None:
    height, width, channels = image.shape
    one = np.float32(1)
    for y in range(height):
        for x in range(width):
            down, across = strength * displacement[0, y, x], strength * displacement[1, y, x]
            floor_y, floor_x = np.floor(down), np.floor(across)
            part_y, part_x = down - floor_y, across - floor_x
            y0, x0 = y + int(floor_y), x + int(floor_x)
            y1, x1 = y0 + 1, x0 + 1
            if y0 < 0 or x0 < 0 or y1 >= height or x1 >= width:
                y0, y1 = y0 % (2 * height), y1 % (2 * height)
                x0, x1 = x0 % (2 * width), x1 % (2 * width)
                y0, y1 = min(y0, 2 * height - 1 - y0), min(y1, 2 * height - 1 - y1)
                x0, x1 = min(x0, 2 * width - 1 - x0), min(x1, 2 * width - 1 - x1)
            for c in range(channels):
                upper = np.float32(image[y0, x0, c]) * (one - part_x) + np.float32(image[y0, x1, c]) * part_x
                lower = np.float32(image[y1, x0, c]) * (one - part_x) + np.float32(image[y1, x1, c]) * part_x
                result[y, x, c] = np.uint8(upper * (one - part_y) + lower * part_y + np.float32(0.5))


@compiled
def _sample_ids(mask: Mask, displacement: Field, strength: np.float32, result: Mask) -> None:
    height, width = mask.shape
    ids, shares = np.empty(4, np.uint8), np.empty(4, np.float32)
    one = np.float32(1)
    for y in range(height):
        for x in range(width):
            down, across = strength * displacement[0, y, x], strength * displacement[1, y, x]
            floor_y, floor_x = np.floor(down), np.floor(across)
            part_y, part_x = down - floor_y, across - floor_x
            for k in range(4):
                row, column = y + int(floor_y) + (k >> 1), x + int(floor_x) + (k & 1)
                row, column = row % (2 * height), column % (2 * width)
                row, column = min(row, 2 * height - 1 - row), min(column, 2 * width - 1 - column)
                ids[k] = mask[row, column]
                shares[k] = (part_y if k >> 1 else one - part_y) * (part_x if k & 1 else one - part_x)
            best, most = ids[0], np.float32(-1)
            for k in range(4):
                share = np.float32(0)
                for j in range(4):
                    if ids[j] == ids[k]:
                        share += shares[j]
                if share > most or (share == most and ids[k] < best):
                    best, most = ids[k], share
            result[y, x] = best
