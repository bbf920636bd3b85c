"""The vision transformer that the backbones `dinov2` and `endoarss` share."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from endoarss.backbones.base import Backbone, create_timm_model
from endoarss.errors import SettingsError
from endoarss.lora import LoRAQKV, Streams
from endoarss.settings import BackboneSettings


class VitEncoder(nn.Module):
    """A timm ViT read out as a map of its patch tokens, over one stream or over several that differ by their adapters."""

    def __init__(self, vit: Any, side: int, streams: int) -> None:
        super().__init__()
        self.vit: Any = vit
        self.side = side
        self.streams = streams

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> S maps (B, C, h, w)."""
        tokens = self.vit.forward_features(images.repeat(self.streams, 1, 1, 1))
        patches = tokens[:, self.vit.num_prefix_tokens :]
        maps = patches.transpose(1, 2).unflatten(2, (self.side, self.side))
        return list(maps.chunk(self.streams))


def build_vit(settings: BackboneSettings, input_size: int, streams: Streams, front: nn.Module | None) -> Backbone:
    """Build a ViT backbone.

    With pretrained weights the ViT is frozen and LoRA on q and v is trained, one set a stream where streams own
    adapters. With random weights it is trained in full: streams are then whole encoders, and shared adapters do not exist.

    Raises:
        SettingsError: if the input is no multiple of the patch, or task adapters are asked of random weights.
    """
    first = create_timm_model(settings, img_size=input_size)
    patch = int(first.patch_embed.patch_size[0])
    if input_size % patch:
        raise SettingsError(f"input size {input_size}: expected a multiple of the patch, {patch} pixels.")
    side = input_size // patch
    if settings.weights.source == "none":
        if streams.shared and streams.owned:
            raise SettingsError(
                "task-specific adapters need a pretrained ViT: weights are none, so the whole ViT is trained. "
                "Give weights: hub or weights: {file: ...}."
            )
        vits = [first, *(create_timm_model(settings, img_size=input_size) for _ in range(streams.count - 1))]
        encoders = [VitEncoder(vit, side, 1) for vit in vits]
    else:
        first.requires_grad_(False)
        for block in first.blocks:
            block.attn.qkv = LoRAQKV(block.attn.qkv, settings.lora_rank, settings.lora_scale, streams)
        encoders = [VitEncoder(first, side, streams.count)]
    return Backbone(encoders, int(first.num_features), side, front)
