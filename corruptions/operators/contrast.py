"""Less contrast: values move towards their channel's mean."""

from __future__ import annotations

import cv2
import numpy as np

from corruptions.randomness import Randomness
from corruptions.registry import Image, register_corruption

KEPT = (0.4, 0.3, 0.2, 0.1, 0.05)


def _means(image: Image, randomness: Randomness) -> np.ndarray:
    """The mean of each channel, float64 (3,)."""
    return np.array(cv2.mean(image)[:3])


@register_corruption("contrast", "digital", prepare=_means)
def contrast(image: Image, severity: int, means: np.ndarray) -> Image:
    """Keep a share of every value's distance from its channel's mean."""
    values = (np.arange(256)[:, None] - means) * KEPT[severity - 1] + means
    table = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return cv2.LUT(image, table.reshape(1, 256, 3))
