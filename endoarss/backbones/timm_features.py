"""Any model of timm that gives feature maps (ConvNeXt, Swin, EfficientNet, MobileNet, ResNet ...), trained in full."""

from __future__ import annotations

import json
from typing import Any

from torch import Tensor, nn

from endoarss.backbones.base import Backbone
from endoarss.backbones.feature_map import feature_map_of, take_off_unused
from endoarss.backbones.front import build_front
from endoarss.backbones.full_encoders import build_encoders, count_encoders
from endoarss.backbones.separate_streams import separate_streams
from endoarss.backbones.timm_model import create_timm_model, takes_input_size
from endoarss.errors import SettingsError
from endoarss.lora import Streams
from endoarss.registry import register_backbone
from endoarss.settings import MAX_BLOCKS, BackboneSettings

_MAX_LAYERS = 4 * MAX_BLOCKS  # of all encoders together; a block of a ResNet has at most four


class FeatureEncoder(nn.Module):
    """A timm model read out as its last feature map, channels first."""

    def __init__(self, model: Any, channels_last: bool) -> None:
        super().__init__()
        self.model: Any = model
        self.channels_last = channels_last

    def forward(self, stacked: Tensor) -> Tensor:
        """(S * B, 3, H, W) -> (S * B, C, h, w)."""
        found: Tensor = self.model.forward_features(stacked)
        return found.permute(0, 3, 1, 2) if self.channels_last else found


@register_backbone("timm_features")
def build_timm_features(settings: BackboneSettings, input_size: int, streams: Streams) -> Backbone:
    """Build it. Experts are full encoders; task adapters stand in every layer but the first that `separate_streams` can adapt.

    Args:
        settings: model and weights. input_size: side in pixels. streams: what the architecture asks for.

    Raises:
        SettingsError: if the model gives no feature map, or none of the stride that is asked for, or cannot have what the streams ask for.
    """
    arguments: dict[str, Any] = {"img_size": input_size} if takes_input_size(settings.model) else {}
    if settings.output_stride != 32:
        arguments["output_stride"] = settings.output_stride  # the other models of timm take it under no name
    given, own = json.dumps(settings.arguments), json.dumps(arguments)
    try:
        found = feature_map_of(settings.model, given, own, input_size)
    except SettingsError as error:
        if settings.output_stride == 32:
            raise
        raise SettingsError(f"{error} Where timm cannot dilate a model, output_stride: 32 is the one it has.") from None
    side = -(-input_size // settings.output_stride)
    if not side - 1 <= found.size[0] <= side:  # some models round down
        raise SettingsError(
            f"output_stride {settings.output_stride}: {settings.model}'s last feature map of {input_size} pixels has a side of "
            f"{found.size[0]}, a stride of {round(input_size / found.size[0])}. Set output_stride to that, or choose another model."
        )

    def create() -> nn.Module:
        model = create_timm_model(settings, **arguments)
        layers = sum(isinstance(module, nn.Conv2d | nn.Linear) for module in model.modules())
        if layers * count_encoders(streams) > _MAX_LAYERS:
            raise SettingsError(
                f"{count_encoders(streams)} encoders of {layers} layers; expected at most {_MAX_LAYERS} layers in all."
            )
        take_off_unused(model, found.used)
        return model

    def separate(model: nn.Module) -> None:
        separate_streams(model, found.image_layers, settings, streams.count)

    encoders, together = build_encoders(create, separate, found.stages, streams)
    wrapped = [FeatureEncoder(model, found.channels_last) for model in encoders]
    return Backbone(wrapped, together, found.channels, found.size, build_front(settings, input_size))
