"""Vision transformers of timm; if their weights are pretrained, they are frozen and have low-rank adapters."""

from __future__ import annotations

from typing import Any

from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from endoarss.backbones.base import Backbone
from endoarss.backbones.lockstep import Stitched, in_lockstep
from endoarss.backbones.patch_projection import project_patches
from endoarss.backbones.timm_model import create_timm_model
from endoarss.errors import SettingsError
from endoarss.lora import Streams, adapt_block
from endoarss.settings import MAX_BLOCKS, TOKENS_AS_CHANNELS, BackboneSettings


class VitEncoder(nn.Module):
    """A timm ViT whose output is a map of its patch tokens.

    Args:
        vit: the timm model.
        channels: C, the number of channels of the map.
        map_size: h and w of the map.
        tokens_as_channels: whether the tokens are viewed as channels, see `BackboneSettings.token_map`.
    """

    def __init__(self, vit: Any, channels: int, map_size: tuple[int, int], tokens_as_channels: bool) -> None:
        super().__init__()
        self.vit: Any = vit
        self.channels, self.map_size = channels, map_size
        self.tokens_as_channels = tokens_as_channels

    def forward(self, stacked: Tensor) -> Tensor:
        """Return maps (S * B, C, h, w) for images (S * B, 3, H, W)."""
        all_tokens = self.vit.forward_features(stacked)
        tokens = all_tokens[:, self.vit.num_prefix_tokens :]  # without class and register tokens
        ordered = tokens if self.tokens_as_channels else tokens.transpose(1, 2)
        return ordered.reshape(-1, self.channels, *self.map_size)


def build_vit(settings: BackboneSettings, input_size: int, streams: Streams, front: nn.Module | None) -> Backbone:
    """Build a ViT backbone.

    With pretrained weights the ViT is frozen and low-rank adapters are trained, by default on q and v; if streams own adapters, each stream
    has its own set. With random weights the ViT is fully trained: there are no adapters, and each stream has an encoder of its own.

    Args:
        settings: model, weights and adapters.
        input_size: side of the images in pixels.
        streams: the streams that the architecture needs.
        front: a module that is applied to the images before the ViT, or None.

    Raises:
        SettingsError: if the model is not a ViT or has too many blocks, the input size is not a multiple of the patch, the token map does
            not fit, or the architecture needs task adapters or a merged update and the weights are random.
    """
    vit = _create(settings, input_size)
    patch = int(vit.patch_embed.patch_size[0])
    if input_size % patch:
        raise SettingsError(f"input size {input_size}: expected a multiple of the patch, {patch} pixels.")
    random = settings.weights.source == "none"
    _check_streams(settings, streams, len(vit.blocks))
    if random:
        vits = [vit, *(_create(settings, input_size) for _ in range(streams.count - 1))]
        streams_per_encoder = 1
        if streams.stitched:
            stages = [f"blocks.{index}" for index in range(len(vit.blocks))]
            vits, streams_per_encoder = [in_lockstep(vits, stages)], streams.count
    else:
        vit.requires_grad_(False)
        for index, block in enumerate(vit.blocks):
            adapt_block(block, settings.lora, streams)
            if streams.stitched:
                vit.blocks[index] = Stitched(block, streams.count)
        vits, streams_per_encoder = [vit], streams.count
    tokens_as_channels = settings.token_map == TOKENS_AS_CHANNELS
    side = input_size // patch
    channels, map_size = int(vit.num_features), (side, side)
    if tokens_as_channels:
        if channels % side:
            raise SettingsError(
                f"token_map tokens_as_channels: {channels} features on a map of side {side}; expected a multiple of the side."
            )
        channels, map_size = side * side, (side, channels // side)
    encoders = [VitEncoder(vit, channels, map_size, tokens_as_channels) for vit in vits]
    return Backbone(encoders, streams_per_encoder, channels, map_size, front)


def _create(settings: BackboneSettings, input_size: int) -> Any:
    vit: Any = create_timm_model(settings, img_size=input_size)
    if not isinstance(vit, VisionTransformer | Eva):
        raise SettingsError(
            f"{settings.model!r} is a {type(vit).__name__}; expected a VisionTransformer or Eva of timm. Use the backbone timm_features "
            "for a model with feature maps."
        )
    vit.patch_embed.proj = project_patches(vit.patch_embed.proj)
    return _without_pooling(vit)


def _without_pooling(vit: Any) -> Any:
    """Remove the layers between the tokens and a classifier, because they would not be trained."""
    vit.fc_norm, vit.attn_pool = nn.Identity(), None
    return vit


def _check_streams(settings: BackboneSettings, streams: Streams, blocks: int) -> None:
    """Raise an error if there are too many blocks, or if the streams need pretrained weights and there are none."""
    encoders = streams.count if settings.weights.source == "none" else 1
    if blocks * encoders > MAX_BLOCKS:
        raise SettingsError(f"{encoders} encoders of {blocks} blocks; expected at most {MAX_BLOCKS} blocks in total.")
    if settings.weights.source != "none":
        return
    if streams.merged:
        raise SettingsError("a merged model needs a pretrained ViT that the merged models share, but weights are none.")
    if streams.shared and streams.owned:
        raise SettingsError(
            "task-specific adapters need a pretrained ViT, but weights are none, so the whole ViT is trained. "
            "Set weights: hub or weights: {file: ...}."
        )
