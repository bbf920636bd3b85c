"""The vision transformer that the backbones `dinov2` and `endoarss` share."""

from __future__ import annotations

from typing import Any

from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from endoarss.backbones.base import Backbone
from endoarss.backbones.timm_model import create_timm_model
from endoarss.errors import SettingsError
from endoarss.lora import Streams, adapt_block
from endoarss.settings import MAX_BLOCKS, TOKENS_AS_CHANNELS, BackboneSettings


class VitEncoder(nn.Module):
    """A timm ViT read out as a map of its patch tokens. channels, map_size: C, h and w of the map."""

    def __init__(self, vit: Any, channels: int, map_size: tuple[int, int], tokens_as_channels: bool) -> None:
        super().__init__()
        self.vit: Any = vit
        self.channels, self.map_size = channels, map_size
        self.tokens_as_channels = tokens_as_channels

    def forward(self, stacked: Tensor) -> Tensor:
        """(S * B, 3, H, W) -> (S * B, C, h, w)."""
        tokens = self.vit.forward_features(stacked)[
            :, self.vit.num_prefix_tokens :
        ]  # class and register tokens left out
        ordered = tokens if self.tokens_as_channels else tokens.transpose(1, 2)
        return ordered.reshape(-1, self.channels, *self.map_size)


def build_vit(settings: BackboneSettings, input_size: int, streams: Streams, front: nn.Module | None) -> Backbone:
    """Build a ViT backbone.

    With pretrained weights the ViT is frozen and LoRA (on q and v unless asked otherwise) is trained, one set a stream where streams own
    adapters. With random weights it is trained in full: streams are then whole encoders, and shared adapters do not exist.

    Raises:
        SettingsError: if the model is no ViT, the input is no multiple of the patch, or task adapters are asked of random weights.
    """
    first = create_timm_model(settings, img_size=input_size)
    if not isinstance(first, VisionTransformer):
        raise SettingsError(f"{settings.model!r} is a {type(first).__name__}; expected a VisionTransformer of timm.")
    patch = int(first.patch_embed.patch_size[0])
    if input_size % patch:
        raise SettingsError(f"input size {input_size}: expected a multiple of the patch, {patch} pixels.")
    whole = streams.count if settings.weights.source == "none" else 1
    if len(first.blocks) * whole > MAX_BLOCKS:
        raise SettingsError(
            f"{whole} encoders of {len(first.blocks)} blocks; expected at most {MAX_BLOCKS} blocks in all."
        )
    side = input_size // patch
    if settings.weights.source == "none":
        if streams.merged:
            raise SettingsError(
                "a merged model needs a pretrained ViT, which the models before it share: weights are none."
            )
        if streams.shared and streams.owned:
            raise SettingsError(
                "task-specific adapters need a pretrained ViT: weights are none, so the whole ViT is trained. "
                "Give weights: hub or weights: {file: ...}."
            )
        vits = [first, *(create_timm_model(settings, img_size=input_size) for _ in range(streams.count - 1))]
        together = 1
    else:
        first.requires_grad_(False)
        for block in first.blocks:
            adapt_block(block, settings.lora, streams)
        vits, together = [first], streams.count
    tokens_as_channels = settings.token_map == TOKENS_AS_CHANNELS
    channels, map_size = int(first.num_features), (side, side)
    if tokens_as_channels:
        if channels % side:
            raise SettingsError(
                f"token_map tokens_as_channels: {channels} features on a map of side {side}; expected a multiple of the side."
            )
        channels, map_size = side * side, (side, channels // side)
    encoders = [VitEncoder(vit, channels, map_size, tokens_as_channels) for vit in vits]
    return Backbone(encoders, together, channels, map_size, front)
