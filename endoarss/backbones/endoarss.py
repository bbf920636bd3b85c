"""EndoARSS: DINOv2 with spatially-aware multi-scale attention before the patch embedding."""

from __future__ import annotations

from endoarss.backbones.base import Backbone
from endoarss.backbones.vit import build_vit
from endoarss.lora import Streams
from endoarss.registry import register_backbone
from endoarss.settings import BackboneSettings
from endoarss.sma import SpatiallyAwareMultiScaleAttention


@register_backbone("endoarss")
def build_endoarss(settings: BackboneSettings, input_size: int, streams: Streams) -> Backbone:
    """Build it; SMA is shared by all streams. See `build_vit`."""
    sma = SpatiallyAwareMultiScaleAttention(settings.sma.width, residual=settings.sma.residual)
    return build_vit(settings, input_size, streams, front=sma.requires_grad_(settings.sma.trained))
