"""JPEG compression: the image is encoded with low quality."""

from __future__ import annotations

import cv2

from corruptions.registry import Image, register_corruption

QUALITY = (25, 18, 15, 10, 7)


@register_corruption("jpeg_compression", "digital")
def jpeg_compression(image: Image, severity: int, prepared: None) -> Image:
    """Encode as JPEG of low quality, with colour at half the resolution, and decode."""
    _, encoded = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY[severity - 1]]
    )
    return cv2.cvtColor(cv2.imdecode(encoded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
