"""Saturate: colours fade (severities 1 and 2) or become glaring (3 to 5)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from corruptions.compiled import compiled
from corruptions.registry import Image, register_corruption

# The saturation of HSV becomes factor * S + offset, at most 1.
FACTOR_OFFSET = ((0.3, 0.0), (0.1, 0.0), (2.0, 0.0), (5.0, 0.1), (20.0, 0.2))


@register_corruption("saturate", "digital")
def saturate(image: Image, severity: int, prepared: None) -> Image:
    """Change the S of HSV; hue and value do not change.

    A grey pixel has the hue of red, as in the usual formula of HSV, so an offset turns it red.
    """
    factor, offset = FACTOR_OFFSET[severity - 1]
    result = np.empty_like(image, order="C")
    pixels = np.ascontiguousarray(image).reshape(-1, 3)
    _saturate(pixels, np.float32(factor), np.float32(offset), result.reshape(-1, 3))
    return result


@compiled
def _saturate(pixels: NDArray[np.uint8], factor: np.float32, offset: np.float32, result: NDArray[np.uint8]) -> None:
    half, one = np.float32(0.5), np.float32(1)
    for i in range(pixels.shape[0]):
        red, green, blue = pixels[i, 0], pixels[i, 1], pixels[i, 2]
        largest = np.float32(max(red, green, blue))
        spread = largest - np.float32(min(red, green, blue))
        if spread == 0:
            faded = np.uint8(largest * (one - min(offset, one)) + half)
            result[i, 0], result[i, 1], result[i, 2] = np.uint8(largest), faded, faded
            continue
        # With S = spread / V: each channel's distance below V, as a share of the spread, is applied to the new S V.
        below = min(factor * spread + offset * largest, largest) / spread
        result[i, 0] = np.uint8(largest - (largest - np.float32(red)) * below + half)
        result[i, 1] = np.uint8(largest - (largest - np.float32(green)) * below + half)
        result[i, 2] = np.uint8(largest - (largest - np.float32(blue)) * below + half)
