"""Gamma correction: out = 255 (in / 255)^g, with g = gamma or 1 / gamma.

The authors of EndoARSS list six exponents for five severities, which are not ordered by strength. The exponents here are.
"""

from __future__ import annotations

import cv2
import numpy as np

from corruptions.errors import CorruptionError
from corruptions.randomness import Randomness
from corruptions.registry import Image, register_corruption

GAMMA = (1.25, 1.5, 1.9, 2.4, 3.0)
_DIRECTIONS = ("random", "dark", "bright")


def _direction(image: Image, randomness: Randomness) -> str:
    """Draw the direction for the image, the same at all severities."""
    return "dark" if randomness.uniform(0, 1) < 0.5 else "bright"


@register_corruption("gamma_correction", "digital", prepare=_direction)
def gamma_correction(image: Image, severity: int, drawn: str, direction: str = "random") -> Image:
    """Darken or brighten by an exponent.

    Args:
        direction: "dark", "bright", or "random", which draws one of them per image.
    """
    if direction not in _DIRECTIONS:
        raise CorruptionError(f"gamma_correction: direction {direction!r}; expected {', '.join(_DIRECTIONS)}.")
    selected = drawn if direction == "random" else direction
    exponent = GAMMA[severity - 1] if selected == "dark" else 1 / GAMMA[severity - 1]
    return power(image, exponent)


def power(image: Image, exponent: float) -> Image:
    """Return 255 (v / 255)^exponent, rounded."""
    return cv2.LUT(image, np.rint(255 * (np.arange(256) / 255) ** exponent).astype(np.uint8))
