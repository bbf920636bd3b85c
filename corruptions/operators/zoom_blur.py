"""Zoom blur: the mean of the image and of the views of a camera that moves towards its middle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from corruptions.compiled import compiled
from corruptions.filters import Field, rounded
from corruptions.registry import Image, register_corruption

# End and step of the zoom factors; the first factor is 1.
END_STEP = ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03))


@register_corruption("zoom_blur", "blur")
def zoom_blur(image: Image, severity: int, prepared: None) -> Image:
    """Average over zoom factors; the image itself counts twice, as in the reference."""
    height, width = image.shape[:2]
    factors = np.arange(1, *END_STEP[severity - 1])
    rows = [_sources(height, factor) for factor in factors]
    columns = [_sources(width, factor) for factor in factors]
    total = np.empty(image.shape, np.float32)
    _add_zooms(
        np.ascontiguousarray(image),
        np.stack([first for first, _ in rows]),
        np.stack([share for _, share in rows]),
        np.stack([first for first, _ in columns]),
        np.stack([share for _, share in columns]),
        total,
    )
    total /= len(factors) + 1
    return rounded(total)


def _sources(count: int, factor: float) -> tuple[NDArray[np.int64], Field]:
    """Return the source of each pixel of a zoomed side: the index of the first of two neighbours, and the weight of the second.

    This equals scipy.ndimage.zoom of order 1 on the middle ceil(count / factor) pixels, with aligned corners, cut to the first `count`.
    """
    visible = int(np.ceil(count / factor))
    start = (count - visible) // 2
    places = np.arange(count) * ((visible - 1) / max(1, round(visible * factor) - 1))
    first = np.minimum(places.astype(np.int64), max(0, visible - 2))
    return start + first, np.clip(places - first, 0, 1).astype(np.float32)


@compiled
def _add_zooms(
    image: Image,
    rows: NDArray[np.int64],
    row_shares: Field,
    columns: NDArray[np.int64],
    column_shares: Field,
    total: Field,
) -> None:
    height, width = total.shape[:2]
    line = np.empty(3 * width, np.float32)
    for y in range(height):
        sums, source = total[y].reshape(3 * width), image[y].reshape(3 * width)
        for i in range(3 * width):
            sums[i] = np.float32(source[i])
        for k in range(rows.shape[0]):
            upper, lower = image[rows[k, y]].reshape(3 * width), image[rows[k, y] + 1].reshape(3 * width)
            share = row_shares[k, y]
            for i in range(3 * width):
                above = np.float32(upper[i])
                line[i] = above + share * (np.float32(lower[i]) - above)
            for x in range(width):
                first, part = 3 * columns[k, x], column_shares[k, x]
                sums[3 * x] += line[first] + part * (line[first + 3] - line[first])
                sums[3 * x + 1] += line[first + 1] + part * (line[first + 4] - line[first + 1])
                sums[3 * x + 2] += line[first + 2] + part * (line[first + 5] - line[first + 2])
