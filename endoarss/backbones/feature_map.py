"""What a timm model's own forward pass says of its feature map and of its layers, without memory for a single value."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from endoarss.backbones.timm_model import bare_timm_model
from endoarss.errors import SettingsError

# A prime that no layer's other sizes are a multiple of: what begins with a multiple of it begins with the images.
_IMAGES = 1009


@dataclass(frozen=True)
class FeatureMap:
    """The last feature map of a model, and which of its parts make it.

    Attributes:
        channels: C. size: h, w. channels_last: whether the model gives (B, h, w, C).
        used: names of the parameters that the map depends on.
        image_layers: names of the convolutions and linear layers that are called with the images one after the other, whatever else
            they see of each.
        stages: names of the modules that timm names as stages.
    """

    channels: int
    size: tuple[int, int]
    channels_last: bool
    used: frozenset[str]
    image_layers: frozenset[str]
    stages: tuple[str, ...]


@lru_cache(
    maxsize=64
)  # a model is built several times: one per expert, and on the meta device before a checkpoint is read
def feature_map_of(name: str, given: str, own: str, input_size: int) -> FeatureMap:
    """Run a timm model on the meta device and return what its feature map is.

    Args:
        name: of the model. given: arguments from settings, as JSON. own: arguments of this package's own code, as JSON.
        input_size: side of the images in pixels.

    Raises:
        SettingsError: if timm cannot build it, it does not run at this size, or it gives no feature map.
    """
    with torch.device("meta"):
        return _look_at(bare_timm_model(name, json.loads(given), **json.loads(own)), name, input_size)


def _look_at(model: Any, name: str, input_size: int) -> FeatureMap:
    image_layers: set[str] = set()
    for path, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_pre_hook(
                lambda _, inputs, path=path: None if inputs[0].shape[0] % _IMAGES else image_layers.add(path)
            )
    parameters = dict(model.eval().requires_grad_(True).named_parameters())
    try:
        found = model.forward_features(torch.empty(_IMAGES, 3, input_size, input_size, device="meta"))
    except Exception as error:  # timm's models refuse sizes in words and types of their own
        raise SettingsError(f"{name}: does not run at {input_size} pixels: {error or type(error).__name__}") from None
    if not isinstance(found, Tensor) or found.ndim != 4:
        shape = tuple(found.shape[1:]) if isinstance(found, Tensor) else type(found).__name__
        raise SettingsError(
            f"{name}: gives no feature map (C, h, w) but {shape}. A vision transformer goes with the backbone timm_vit; otherwise choose "
            "another model, such as convnext_tiny or swin_tiny_patch4_window7_224."
        )
    channels_last = getattr(model, "output_fmt", "NCHW") == "NHWC"
    _, *sizes = found.shape
    channels, height, width = (sizes[2], sizes[0], sizes[1]) if channels_last else sizes
    gradients = torch.autograd.grad(found.sum(), list(parameters.values()), allow_unused=True)
    used = {path for path, gradient in zip(parameters, gradients, strict=True) if gradient is not None}
    stages = tuple(one["module"] for one in model.feature_info)
    return FeatureMap(channels, (height, width), channels_last, frozenset(used), frozenset(image_layers), stages)


def take_off_unused(model: nn.Module, used: frozenset[str]) -> None:
    """Take off what a feature map does not depend on, such as the normalisation of a classifier: it would be trained in name alone.

    Args:
        model: changed in place. used: names of the parameters that stay.
    """
    for path, module in list(model.named_modules()):
        for name, _ in list(module.named_parameters(recurse=False)):
            if f"{path}.{name}".lstrip(".") not in used:
                module.register_parameter(name, None)
