"""The optional front of a backbone of any kind: spatially-aware multi-scale attention (SMA)."""

from __future__ import annotations

from endoarss.errors import SettingsError
from endoarss.settings import SMA_PATCH, BackboneSettings
from endoarss.sma import SpatiallyAwareMultiScaleAttention


def build_front(settings: BackboneSettings, input_size: int) -> SpatiallyAwareMultiScaleAttention | None:
    """Build the front of a backbone: SMA, which all streams share, or None if the settings do not request it.

    Args:
        settings: the settings of the backbone.
        input_size: side of the images in pixels.

    Raises:
        SettingsError: if the side is not a multiple of SMA's patch; the message suggests the nearest multiples.
    """
    if not settings.with_sma:
        return None
    below = input_size // SMA_PATCH * SMA_PATCH
    if below != input_size:
        nearest = " or ".join(str(size) for size in (below, below + SMA_PATCH) if size)
        raise SettingsError(
            f"input size {input_size}: SMA before {settings.model} needs a multiple of {SMA_PATCH}. "
            f"Give this backbone images of another size with network_size: {nearest}; 224 is suitable for patches of 14 and of 16."
        )
    sma = SpatiallyAwareMultiScaleAttention(settings.sma.width, residual=settings.sma.residual)
    return sma.requires_grad_(settings.sma.trained)
