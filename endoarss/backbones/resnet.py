"""A fully trained ResNet of timm; the paper uses ResNet101 with ImageNet weights."""

from __future__ import annotations

from typing import Any

from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from torch import Tensor, nn

from endoarss.backbones.base import Backbone
from endoarss.backbones.front import build_front
from endoarss.backbones.full_encoders import build_encoders, count_encoders
from endoarss.backbones.timm_model import create_timm_model
from endoarss.errors import SettingsError
from endoarss.lora import StreamBatchNorm2d, StreamConv2d, Streams
from endoarss.registry import register_backbone
from endoarss.settings import MAX_BLOCKS, BackboneSettings

_STAGES = ["layer1", "layer2", "layer3", "layer4"]


class ResNetEncoder(nn.Module):
    """The convolutional layers of a timm ResNet.

    Args:
        resnet: the timm model.
    """

    def __init__(self, resnet: Any) -> None:
        super().__init__()
        self.resnet: Any = resnet

    def forward(self, stacked: Tensor) -> Tensor:
        """Return maps (S * B, C, h, w) for images (S * B, 3, H, W)."""
        return self.resnet.forward_features(stacked)


@register_backbone("resnet")
def build_resnet(settings: BackboneSettings, input_size: int, streams: Streams) -> Backbone:
    """Build a ResNet backbone. Experts are full encoders; task adapters are low-rank updates of the convolutions in all residual blocks.

    Args:
        settings: model and weights.
        input_size: side of the images in pixels.
        streams: the streams that the architecture needs.

    Raises:
        SettingsError: if the model is not a ResNet, has too many blocks, or has grouped convolutions although adapters are needed.
    """

    def create() -> Any:
        resnet = create_timm_model(settings, output_stride=settings.output_stride)
        if not isinstance(resnet, ResNet):
            raise SettingsError(
                f"backbone resnet: {settings.model!r} is a {type(resnet).__name__}; expected a ResNet of timm. "
                "Use the backbone timm_features for other models with feature maps."
            )
        blocks = sum(isinstance(module, BasicBlock | Bottleneck) for module in resnet.modules())
        if blocks * encoders > MAX_BLOCKS:
            raise SettingsError(
                f"{encoders} encoders of {blocks} blocks; expected at most {MAX_BLOCKS} blocks in total."
            )
        return resnet

    def separate(resnet: nn.Module) -> None:
        _separate_streams(resnet, settings, streams.count)

    encoders = count_encoders(streams)
    front = build_front(settings, input_size)
    models, streams_per_encoder = build_encoders(create, separate, _STAGES, streams)
    side = -(-input_size // settings.output_stride)
    wrapped = [ResNetEncoder(resnet) for resnet in models]
    return Backbone(wrapped, streams_per_encoder, int(wrapped[0].resnet.num_features), (side, side), front)


def _separate_streams(resnet: nn.Module, settings: BackboneSettings, streams: int) -> None:
    """Add one adapter per stream to the blocks' convolutions, and separate statistics per stream to every batch normalisation."""
    adapted = {
        getattr(block, name)
        for block in resnet.modules()
        if isinstance(block, BasicBlock | Bottleneck)
        for name in ("conv1", "conv2", "conv3")
        if hasattr(block, name)
    }
    for parent in list(resnet.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Conv2d):
                rank = settings.lora.rank if child in adapted else 0
                setattr(parent, name, StreamConv2d(child, streams, rank, settings.lora.scale))
            elif isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, StreamBatchNorm2d(child, streams))
