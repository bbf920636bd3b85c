"""Any timm model with feature maps (ConvNeXt, Swin, EfficientNet, MobileNet, ResNet and others), fully trained."""

from __future__ import annotations

import json
from typing import Any

from torch import Tensor, nn

from endoarss.backbones.base import Backbone
from endoarss.backbones.feature_map import feature_map_of, remove_unused
from endoarss.backbones.front import build_front
from endoarss.backbones.full_encoders import build_encoders, count_encoders
from endoarss.backbones.separate_streams import separate_streams
from endoarss.backbones.timm_model import create_timm_model, takes_input_size
from endoarss.errors import SettingsError
from endoarss.lora import Streams
from endoarss.registry import register_backbone
from endoarss.settings import MAX_BLOCKS, BackboneSettings

_MAX_LAYERS = 4 * MAX_BLOCKS  # in all encoders together; a ResNet block has at most four layers


class FeatureEncoder(nn.Module):
    """A timm model whose output is its last feature map, channels first.

    Args:
        model: the timm model.
        channels_last: whether the timm model returns the channels last.
    """

    def __init__(self, model: Any, channels_last: bool) -> None:
        super().__init__()
        self.model: Any = model
        self.channels_last = channels_last

    def forward(self, stacked: Tensor) -> Tensor:
        """Return maps (S * B, C, h, w) for images (S * B, 3, H, W)."""
        output: Tensor = self.model.forward_features(stacked)
        return output.permute(0, 3, 1, 2) if self.channels_last else output


@register_backbone("timm_features")
def build_timm_features(settings: BackboneSettings, input_size: int, streams: Streams) -> Backbone:
    """Build a backbone from a timm model with feature maps.

    Experts are full encoders. Task adapters are added to every layer that `separate_streams` can adapt.

    Args:
        settings: model and weights.
        input_size: side of the images in pixels.
        streams: the streams that the architecture needs.

    Raises:
        SettingsError: if the model has no feature map with the required stride, has too many layers, or does not support the streams.
    """
    arguments: dict[str, Any] = {"img_size": input_size} if takes_input_size(settings.model) else {}
    if settings.output_stride != 32:
        arguments["output_stride"] = settings.output_stride  # some models of timm do not accept this argument at all
    try:
        feature_map = feature_map_of(settings.model, json.dumps(settings.arguments), json.dumps(arguments), input_size)
    except SettingsError as error:
        if settings.output_stride == 32:
            raise
        raise SettingsError(f"{error} If timm cannot dilate a model, set output_stride: 32.") from None
    side = -(-input_size // settings.output_stride)
    if not side - 1 <= feature_map.size[0] <= side:  # some models round down
        stride = round(input_size / feature_map.size[0])
        raise SettingsError(
            f"output_stride {settings.output_stride}: the last feature map of {settings.model} for {input_size} pixels has a side of "
            f"{feature_map.size[0]}, which is a stride of {stride}. Set output_stride to that, or choose another model."
        )

    def create() -> nn.Module:
        model = create_timm_model(settings, **arguments)
        layers = sum(isinstance(module, nn.Conv2d | nn.Linear) for module in model.modules())
        if layers * count_encoders(streams) > _MAX_LAYERS:
            raise SettingsError(
                f"{count_encoders(streams)} encoders of {layers} layers; expected at most {_MAX_LAYERS} layers in total."
            )
        remove_unused(model, feature_map.used)
        return model

    def separate(model: nn.Module) -> None:
        separate_streams(model, feature_map.image_layers, settings, streams.count)

    models, streams_per_encoder = build_encoders(create, separate, feature_map.stages, streams)
    encoders = [FeatureEncoder(model, feature_map.channels_last) for model in models]
    front = build_front(settings, input_size)
    return Backbone(encoders, streams_per_encoder, feature_map.channels, feature_map.size, front)
