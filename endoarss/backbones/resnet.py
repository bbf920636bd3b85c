"""A ResNet of timm, trained in full (the paper: ResNet101 with ImageNet weights)."""

from __future__ import annotations

from typing import Any

from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from torch import Tensor, nn

from endoarss.backbones.base import Backbone, create_timm_model
from endoarss.errors import SettingsError
from endoarss.lora import LoRAConv2d, StreamBatchNorm2d, Streams
from endoarss.registry import register_backbone
from endoarss.settings import BackboneSettings


class ResNetEncoder(nn.Module):
    """The convolutional trunk, over one stream or over several that differ by their adapters."""

    def __init__(self, resnet: Any, streams: int) -> None:
        super().__init__()
        self.resnet: Any = resnet
        self.streams = streams

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> S maps (B, C, h, w)."""
        return list(self.resnet.forward_features(images.repeat(self.streams, 1, 1, 1)).chunk(self.streams))


@register_backbone("resnet")
def build_resnet(settings: BackboneSettings, input_size: int, streams: Streams) -> Backbone:
    """Build it. Experts are full encoders; task adapters are the convolutional form in every residual block.

    Args:
        settings: model and weights. input_size: side in pixels. streams: what the architecture asks for.

    Raises:
        SettingsError: if the model is no ResNet, or has grouped convolutions where adapters are asked for.
    """

    def create() -> Any:
        resnet = create_timm_model(settings, output_stride=settings.output_stride)
        if not isinstance(resnet, ResNet):
            raise SettingsError(
                f"backbone resnet: {settings.model!r} is a {type(resnet).__name__}; expected a ResNet of timm."
            )
        return resnet

    experts = streams.count if streams.count > 1 and not streams.shared else 1
    encoders = []
    for _ in range(experts):
        resnet = create()
        if streams.count > 1 and streams.shared:
            _separate_streams(resnet, settings, streams.count)
        encoders.append(ResNetEncoder(resnet, streams.count // experts))
    side = -(-input_size // settings.output_stride)
    return Backbone(encoders, int(encoders[0].resnet.num_features), side)


def _separate_streams(resnet: nn.Module, settings: BackboneSettings, streams: int) -> None:
    """Give the blocks' convolutions an adapter a stream, and every batch normalisation statistics a stream."""
    for block in [module for module in resnet.modules() if isinstance(module, BasicBlock | Bottleneck)]:
        for name in ("conv1", "conv2", "conv3"):
            if hasattr(block, name):
                adapted = LoRAConv2d(getattr(block, name), settings.lora_rank, settings.lora_scale, streams)
                setattr(block, name, adapted)
    for parent in list(resnet.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, StreamBatchNorm2d(child, streams))
