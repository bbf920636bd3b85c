"""Contrast: values move towards the mean of their channel."""

from __future__ import annotations

import cv2
import numpy as np

from corruptions.randomness import Randomness
from corruptions.registry import Image, register_corruption

REMAINING = (0.4, 0.3, 0.2, 0.1, 0.05)


def _means(image: Image, randomness: Randomness) -> np.ndarray:
    """Return the mean of each channel: float64 (3,)."""
    return np.array(cv2.mean(image)[:3])


@register_corruption("contrast", "digital", prepare=_means)
def contrast(image: Image, severity: int, means: np.ndarray) -> Image:
    """Reduce every value's distance from the mean of its channel to a share."""
    values = (np.arange(256)[:, None] - means) * REMAINING[severity - 1] + means
    table = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return cv2.LUT(image, table.reshape(1, 256, 3))
