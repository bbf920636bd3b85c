"""Computes the window to which EndoVis 2017 crops its recordings."""

from __future__ import annotations


def crop_window(height: int, width: int) -> tuple[int, int, int, int]:
    """Return the official crop as (top, bottom, left, right): rows 28:1052 and columns 320:1600 of 1920x1080.

    A 16:9 image of another size is cropped in proportion. An image of another aspect ratio is not cropped, because it is cropped already.
    """
    if abs(width / height - 16 / 9) > 0.01:
        return 0, height, 0, width
    scale = height / 1080
    return round(28 * scale), round(1052 * scale), round(320 * scale), round(1600 * scale)
