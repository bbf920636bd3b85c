"""What may stand before a backbone of any kind: spatially-aware multi-scale attention (SMA)."""

from __future__ import annotations

from endoarss.errors import SettingsError
from endoarss.settings import SMA_PATCH, BackboneSettings
from endoarss.sma import SpatiallyAwareMultiScaleAttention


def build_front(settings: BackboneSettings, input_size: int) -> SpatiallyAwareMultiScaleAttention | None:
    """Build what the settings ask for before a backbone: SMA, which all streams share, or nothing.

    Args:
        settings: the backbone's. input_size: side of the images in pixels.

    Raises:
        SettingsError: if the side is no multiple of SMA's patch, with the nearest sides that are.
    """
    if not settings.with_sma:
        return None
    below = input_size // SMA_PATCH * SMA_PATCH
    if below != input_size:
        nearest = " or ".join(str(size) for size in (below, below + SMA_PATCH) if size)
        raise SettingsError(
            f"input size {input_size}: SMA, before {settings.model}, asks for a multiple of {SMA_PATCH}. "
            f"Let this backbone see images of another side with network_size: {nearest}; 224 suits patches of 14 and of 16."
        )
    sma = SpatiallyAwareMultiScaleAttention(settings.sma.width, residual=settings.sma.residual)
    return sma.requires_grad_(settings.sma.trained)
