"""Compare the arguments for timm with the model that timm built, because timm silently ignores some arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from timm.models.convnext import ConvNeXt
from timm.models.eva import Eva
from timm.models.resnet import ResNet
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from endoarss.errors import SettingsError


def check_built(model: Any, name: str, requested: Mapping[str, Any]) -> None:
    """Raise an error if a model does not have the properties that its arguments requested.

    Args:
        model: a timm model.
        name: the name of the model.
        requested: the arguments with which it was built. Arguments that cannot be read from a model are not checked.

    Raises:
        SettingsError: if an argument was ignored; the message says what was requested and what was built.
    """
    built = built_arguments(model)
    for key in requested.keys() & built.keys():
        expected = bool(requested[key]) if key == "init_values" else requested[key]
        if expected != built[key]:
            raise SettingsError(
                f"arguments.{key}: the study requests {requested[key]}, but timm's {name} has {_value_text(key, built[key])}. Remove the "
                "argument, so that the study describes the model that is trained, or choose a model that supports it."
            )


def built_arguments(model: Any) -> dict[str, Any]:
    """Return the arguments that can be read from a timm model, by name.

    Args:
        model: a timm model.

    Returns:
        The values of the arguments; for `init_values` whether the model has a LayerScale.
    """
    if isinstance(model, VisionTransformer | Eva):
        return _of_vit(model)
    if isinstance(model, ResNet):
        return _of_resnet(model)
    if isinstance(model, ConvNeXt):
        return _of_convnext(model)
    if isinstance(model, SwinTransformer):
        return _of_swin(model)
    return {}


def _of_resnet(model: Any) -> dict[str, Any]:
    stages = [model.layer1, model.layer2, model.layer3, model.layer4]
    widths = tuple(info["num_chs"] // stages[0][0].expansion for info in model.feature_info[1:])
    return {"layers": tuple(map(len, stages)), "channels": widths}


def _of_convnext(model: Any) -> dict[str, Any]:
    depths = tuple(len(stage.blocks) for stage in model.stages)
    return {"depths": depths, "dims": tuple(info["num_chs"] for info in model.feature_info)}


def _of_swin(model: Any) -> dict[str, Any]:
    return {"depths": tuple(len(layer.blocks) for layer in model.layers), "embed_dim": model.embed_dim}


def _of_vit(model: Any) -> dict[str, Any]:
    block = model.blocks[0]
    registers = 0 if model.reg_token is None else model.reg_token.shape[1]
    scaled = getattr(block, "gamma_1", None) is not None or any(
        not isinstance(getattr(block, name, nn.Identity()), nn.Identity) for name in ("ls1", "ls2")
    )
    arguments = {
        "embed_dim": model.embed_dim,
        "depth": len(model.blocks),
        "class_token": model.cls_token is not None,
        "reg_tokens": registers,
        "num_reg_tokens": registers,
        "init_values": scaled,
    }
    heads = getattr(getattr(block, "attn", None), "num_heads", None)
    return arguments if heads is None else {**arguments, "num_heads": heads}


def _value_text(key: str, value: Any) -> str:
    return f"{'a' if value else 'no'} LayerScale" if key == "init_values" else repr(value)
