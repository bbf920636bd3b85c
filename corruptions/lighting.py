"""Finds the area that the endoscope's lamp lights; smoke and blood are visible by that light alone."""

from __future__ import annotations

import cv2
import numpy as np

from corruptions.fields import Field, field_size
from corruptions.filters import gaussian
from corruptions.registry import Image

# A pixel whose largest channel (0 to 255) is at most _BLACK lies outside the round field of view; from _LIT on it is lit.
_BLACK, _LIT = 16, 48
# Dark areas up to this share of the shorter side are shadows within the view.
_SHADOW = 0.2


def scene_at_field_size(image: Image) -> Image:
    """Resize an image to `field_size` (h, w, 3) by averaging over pixel areas."""
    rows, columns = field_size(*image.shape[:2])
    if (rows, columns) == image.shape[:2]:
        return image
    return cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA)


def lit_area(scene: Image) -> Field:
    """Return the field of view: 1 inside, 0 in the black area around it, float32 (h, w). Shadows inside it count as lit.

    Args:
        scene: an image from `scene_at_field_size`.
    """
    short = min(scene.shape[:2])
    side = max(3, round(_SHADOW * short) | 1)
    largest = cv2.max(cv2.max(scene[..., 0], scene[..., 1]), scene[..., 2])
    # The padding is black, so a dark area that reaches the border is not a shadow.
    framed = cv2.copyMakeBorder(largest, side, side, side, side, cv2.BORDER_CONSTANT, value=0)
    closed = cv2.morphologyEx(framed, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8))[side:-side, side:-side]
    share = np.clip((closed.astype(np.float32) - _BLACK) / (_LIT - _BLACK), 0, 1)
    return gaussian(share, max(1.0, short / 128), "nearest", truncate=3)
