"""Find out the feature map and the layers of a timm model by running it on the meta device, which needs no memory for values."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from endoarss.backbones.timm_model import bare_timm_model
from endoarss.errors import SettingsError

# A prime number of images. A tensor whose first size is a multiple of it has the images first, because no other size is a multiple.
_IMAGES = 1009


@dataclass(frozen=True)
class FeatureMap:
    """The last feature map of a model, and the parts of the model that it depends on.

    Attributes:
        channels: C, the number of channels.
        size: h and w.
        channels_last: whether the model returns (B, h, w, C).
        used: names of the parameters that the map depends on.
        image_layers: names of the convolutions and linear layers whose input has the images in its first dimension.
        stages: names of the modules that timm lists as stages.
    """

    channels: int
    size: tuple[int, int]
    channels_last: bool
    used: frozenset[str]
    image_layers: frozenset[str]
    stages: tuple[str, ...]


# Cached, because a model is built several times: once per expert, and on the meta device before a checkpoint is read.
@lru_cache(maxsize=64)
def feature_map_of(name: str, study_arguments: str, package_arguments: str, input_size: int) -> FeatureMap:
    """Run a timm model on the meta device and return a description of its feature map.

    Args:
        name: the name of the model.
        study_arguments: arguments for timm from the settings, as JSON.
        package_arguments: arguments for timm from this package's code, as JSON.
        input_size: side of the images in pixels.

    Raises:
        SettingsError: if timm cannot build the model, it does not run at this size, or it returns no feature map.
    """
    with torch.device("meta"):
        model = bare_timm_model(name, json.loads(study_arguments), **json.loads(package_arguments))
        return _run_and_describe(model, name, input_size)


def _run_and_describe(model: Any, name: str, input_size: int) -> FeatureMap:
    """Run a model that is on the meta device and return a description of its feature map."""
    image_layers: set[str] = set()
    for path, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_pre_hook(
                lambda _, inputs, path=path: None if inputs[0].shape[0] % _IMAGES else image_layers.add(path)
            )
    parameters = dict(model.eval().requires_grad_(True).named_parameters())
    try:
        output = model.forward_features(torch.empty(_IMAGES, 3, input_size, input_size, device="meta"))
    except Exception as error:  # timm's models raise various exceptions for a wrong size
        raise SettingsError(
            f"{name}: it does not run on images of {input_size} pixels: {error or type(error).__name__}"
        ) from None
    if not isinstance(output, Tensor) or output.ndim != 4:
        shape = tuple(output.shape[1:]) if isinstance(output, Tensor) else type(output).__name__
        raise SettingsError(
            f"{name}: its output is not a feature map (C, h, w) but {shape}. Use the backbone timm_vit for a vision transformer; otherwise "
            "choose another model, such as convnext_tiny or swin_tiny_patch4_window7_224."
        )
    channels_last = getattr(model, "output_fmt", "NCHW") == "NHWC"
    _, *sizes = output.shape
    channels, height, width = (sizes[2], sizes[0], sizes[1]) if channels_last else sizes
    gradients = torch.autograd.grad(output.sum(), list(parameters.values()), allow_unused=True)
    used = {path for path, gradient in zip(parameters, gradients, strict=True) if gradient is not None}
    stages = tuple(info["module"] for info in model.feature_info)
    return FeatureMap(channels, (height, width), channels_last, frozenset(used), frozenset(image_layers), stages)


def remove_unused(model: nn.Module, used: frozenset[str]) -> None:
    """Remove parameters that a feature map does not depend on, such as a classifier's normalisation, because they would not be trained.

    Args:
        model: the model, which is changed in place.
        used: names of the parameters to retain.
    """
    for path, module in list(model.named_modules()):
        for name, _ in list(module.named_parameters(recurse=False)):
            if f"{path}.{name}".lstrip(".") not in used:
                module.register_parameter(name, None)
