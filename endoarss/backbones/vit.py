"""Vision transformers of timm, frozen with low-rank adapters where their weights are pretrained."""

from __future__ import annotations

from typing import Any

from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from endoarss.backbones.base import Backbone
from endoarss.backbones.lockstep import Stitched, in_lockstep
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
    first = _create(settings, input_size)
    patch = int(first.patch_embed.patch_size[0])
    if input_size % patch:
        raise SettingsError(f"input size {input_size}: expected a multiple of the patch, {patch} pixels.")
    random = settings.weights.source == "none"
    _check_streams(settings, streams, len(first.blocks))
    if random:
        vits = [first, *(_create(settings, input_size) for _ in range(streams.count - 1))]
        together = 1
        if streams.stitched:
            stages = [f"blocks.{index}" for index in range(len(first.blocks))]
            vits, together = [in_lockstep(vits, stages)], streams.count
    else:
        first.requires_grad_(False)
        for index, block in enumerate(first.blocks):
            adapt_block(block, settings.lora, streams)
            if streams.stitched:
                first.blocks[index] = Stitched(block, streams.count)
        vits, together = [first], streams.count
    tokens_as_channels = settings.token_map == TOKENS_AS_CHANNELS
    side = input_size // patch
    channels, map_size = int(first.num_features), (side, side)
    if tokens_as_channels:
        if channels % side:
            raise SettingsError(
                f"token_map tokens_as_channels: {channels} features on a map of side {side}; expected a multiple of the side."
            )
        channels, map_size = side * side, (side, channels // side)
    encoders = [VitEncoder(vit, channels, map_size, tokens_as_channels) for vit in vits]
    return Backbone(encoders, together, channels, map_size, front)


def _create(settings: BackboneSettings, input_size: int) -> Any:
    vit: Any = create_timm_model(settings, img_size=input_size)
    if not isinstance(vit, VisionTransformer | Eva):
        raise SettingsError(
            f"{settings.model!r} is a {type(vit).__name__}; expected a VisionTransformer or Eva of timm. A model with feature maps goes "
            "with the backbone timm_features."
        )
    return _without_pooling(vit)


def _without_pooling(vit: Any) -> Any:
    """Take off what follows the tokens on the way to a classifier, and would be trained in name alone."""
    vit.fc_norm, vit.attn_pool = nn.Identity(), None
    return vit


def _check_streams(settings: BackboneSettings, streams: Streams, blocks: int) -> None:
    """Refuse more blocks than anybody trains, and what asks for pretrained weights where there are none."""
    whole = streams.count if settings.weights.source == "none" else 1
    if blocks * whole > MAX_BLOCKS:
        raise SettingsError(f"{whole} encoders of {blocks} blocks; expected at most {MAX_BLOCKS} blocks in all.")
    if settings.weights.source != "none":
        return
    if streams.merged:
        raise SettingsError(
            "a merged model needs a pretrained ViT, which the models before it share: weights are none."
        )
    if streams.shared and streams.owned:
        raise SettingsError(
            "task-specific adapters need a pretrained ViT: weights are none, so the whole ViT is trained. "
            "Give weights: hub or weights: {file: ...}."
        )
