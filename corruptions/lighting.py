"""What the lamp of the endoscope reaches: smoke and blood shine by its light alone."""

from __future__ import annotations

import cv2
import numpy as np

from corruptions.fields import Field, field_size
from corruptions.filters import gaussian
from corruptions.registry import Image

# Largest channel, 0 to 255, up to which a picture is the black around the round field of view, and from which it is lit.
_BLACK, _LIT = 16, 48
# Dark places up to this share of the shorter side are shadows within the view.
_SHADOW = 0.2


def scene_at_field_size(image: Image) -> Image:
    """The picture at `field_size` (h, w, 3), by means over areas."""
    rows, columns = field_size(*image.shape[:2])
    if (rows, columns) == image.shape[:2]:
        return image
    return cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA)


def lit_area(scene: Image) -> Field:
    """Where the field of view is: 1 within, 0 in the black around it, float32 (h, w). Shadows within it count as lit.

    Args:
        scene: as `scene_at_field_size` gives it.
    """
    short = min(scene.shape[:2])
    side = max(3, round(_SHADOW * short) | 1)
    largest = cv2.max(cv2.max(scene[..., 0], scene[..., 1]), scene[..., 2])
    # Beyond the picture all is black: what is dark and reaches its border is no shadow.
    framed = cv2.copyMakeBorder(largest, side, side, side, side, cv2.BORDER_CONSTANT, value=0)
    closed = cv2.morphologyEx(framed, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8))[side:-side, side:-side]
    share = np.clip((closed.astype(np.float32) - _BLACK) / (_LIT - _BLACK), 0, 1)
    return gaussian(share, max(1.0, short / 128), "nearest", truncate=3)
