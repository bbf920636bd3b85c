"""Any vision transformer of timm, with or without class and register tokens, with absolute or rotary positions (DINOv3)."""

from __future__ import annotations

from endoarss.backbones.base import Backbone
from endoarss.backbones.front import build_front
from endoarss.backbones.vit import build_vit
from endoarss.lora import Streams
from endoarss.registry import register_backbone
from endoarss.settings import BackboneSettings


@register_backbone("timm_vit")
def build_timm_vit(settings: BackboneSettings, input_size: int, streams: Streams) -> Backbone:
    """Build a ViT backbone, with SMA before the patch embedding if the settings request it; see `build_vit`.

    Args:
        settings: model, weights, adapters and SMA.
        input_size: side of the images in pixels.
        streams: the streams that the architecture needs.
    """
    return build_vit(settings, input_size, streams, build_front(settings, input_size))
