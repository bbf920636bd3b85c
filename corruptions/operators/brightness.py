"""Brightness: the largest channel of every colour is raised; hue and saturation do not change."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from corruptions.compiled import compiled
from corruptions.registry import Image, register_corruption

RAISED_BY = (0.1, 0.2, 0.3, 0.4, 0.5)


@register_corruption("brightness", "occlusion")
def brightness(image: Image, severity: int, prepared: None) -> Image:
    """Raise the V of HSV by a share of the full range, at most to its maximum."""
    result = np.empty_like(image, order="C")
    pixels = np.ascontiguousarray(image).reshape(-1, 3)
    _look_up(pixels, _raised(RAISED_BY[severity - 1]), result.reshape(-1, 3))
    return result


@cache
def _raised(amount: float) -> NDArray[np.uint8]:
    """Return the new value of a channel, by the colour's largest channel and the channel's own value: uint8 (256, 256)."""
    largest, value = np.arange(256)[:, None], np.arange(256)[None, :]
    raised = np.minimum(largest / 255 + amount, 1)
    # Scaling all channels equally preserves hue and saturation; black has neither and becomes grey.
    scaled = np.where(largest > 0, np.minimum(value / np.maximum(largest, 1), 1), 1) * raised
    return np.rint(255 * scaled).astype(np.uint8)


@compiled
def _look_up(pixels: NDArray[np.uint8], table: NDArray[np.uint8], result: NDArray[np.uint8]) -> None:
    for i in range(pixels.shape[0]):
        row = table[max(pixels[i, 0], pixels[i, 1], pixels[i, 2])]
        for channel in range(3):
            result[i, channel] = row[pixels[i, channel]]
