"""Gaussian blur."""

from __future__ import annotations

from corruptions.filters import gaussian, rounded
from corruptions.registry import Image, register_corruption

SIGMA = (1, 2, 3, 4, 6)


@register_corruption("gaussian_blur", "blur")
def gaussian_blur(image: Image, severity: int, prepared: None) -> Image:
    """Blur by a Gaussian with a sigma of 1 to 6 pixels."""
    return rounded(gaussian(image, SIGMA[severity - 1], "nearest"))
