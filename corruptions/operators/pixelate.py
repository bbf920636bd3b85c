"""Pixelate: the image has fewer, larger pixels."""

from __future__ import annotations

import numpy as np
from PIL import Image as Pictures

from corruptions.registry import Image, register_corruption

SCALE = (0.6, 0.5, 0.4, 0.3, 0.25)


@register_corruption("pixelate", "digital")
def pixelate(image: Image, severity: int, prepared: None) -> Image:
    """Reduce the image by averaging over boxes, then enlarge it by the nearest pixel."""
    height, width = image.shape[:2]
    scale = SCALE[severity - 1]
    small = Pictures.fromarray(image).resize((int(width * scale), int(height * scale)), Pictures.Resampling.BOX)
    return np.array(small.resize((width, height), Pictures.Resampling.NEAREST))
