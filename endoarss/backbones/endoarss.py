"""EndoARSS: DINOv2 with spatially-aware multi-scale attention before the patch embedding."""

from __future__ import annotations

from dataclasses import replace

from endoarss.backbones.base import Backbone
from endoarss.backbones.timm_vit import build_timm_vit
from endoarss.lora import Streams
from endoarss.registry import register_backbone
from endoarss.settings import BackboneSettings


@register_backbone("endoarss")
def build_endoarss(settings: BackboneSettings, input_size: int, streams: Streams) -> Backbone:
    """Build an EndoARSS backbone, which is a `timm_vit` with SMA that all streams share.

    Args:
        settings: model, weights, adapters and SMA.
        input_size: side of the images in pixels.
        streams: the streams that the architecture needs.
    """
    return build_timm_vit(replace(settings, with_sma=True), input_size, streams)
