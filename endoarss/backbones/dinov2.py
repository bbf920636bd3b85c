"""DINOv2: a frozen patch-14 ViT with LoRA on q and v; the paper uses vit_base_patch14_dinov2."""

from __future__ import annotations

from endoarss.backbones.base import Backbone
from endoarss.backbones.timm_vit import build_timm_vit
from endoarss.lora import Streams
from endoarss.registry import register_backbone
from endoarss.settings import BackboneSettings


@register_backbone("dinov2")
def build_dinov2(settings: BackboneSettings, input_size: int, streams: Streams) -> Backbone:
    """Build a DINOv2 backbone, which is a `timm_vit`.

    Args:
        settings: model, weights and adapters.
        input_size: side of the images in pixels.
        streams: the streams that the architecture needs.
    """
    return build_timm_vit(settings, input_size, streams)
