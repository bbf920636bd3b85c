"""Compare what was asked of timm with what its model says of itself: timm passes over some arguments without a word."""

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


def check_built(model: Any, name: str, asked: Mapping[str, Any]) -> None:
    """Refuse a model that is not what its arguments asked for, of those that can be read from it.

    Args:
        model: of timm. name: of the model. asked: the arguments it was built with.

    Raises:
        SettingsError: naming the argument, what was asked and what was built.
    """
    built = built_arguments(model)
    for key in asked.keys() & built.keys():
        wanted = bool(asked[key]) if key == "init_values" else asked[key]
        if wanted != built[key]:
            raise SettingsError(
                f"arguments.{key}: {asked[key]} was asked for, but timm's {name} has {_said(key, built[key])}. Leave the argument out, so "
                "that the study states the model that is trained, or choose a model that follows it."
            )


def built_arguments(model: Any) -> dict[str, Any]:
    """Return what a model says of the arguments it was built with, by their names; of `init_values`, whether there is a LayerScale."""
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
    widths = tuple(one["num_chs"] // stages[0][0].expansion for one in model.feature_info[1:])
    return {"layers": tuple(map(len, stages)), "channels": widths}


def _of_convnext(model: Any) -> dict[str, Any]:
    depths = tuple(len(stage.blocks) for stage in model.stages)
    return {"depths": depths, "dims": tuple(one["num_chs"] for one in model.feature_info)}


def _of_swin(model: Any) -> dict[str, Any]:
    return {"depths": tuple(len(layer.blocks) for layer in model.layers), "embed_dim": model.embed_dim}


def _of_vit(model: Any) -> dict[str, Any]:
    block = model.blocks[0]
    registers = 0 if model.reg_token is None else model.reg_token.shape[1]
    scaled = getattr(block, "gamma_1", None) is not None or any(
        not isinstance(getattr(block, name, nn.Identity()), nn.Identity) for name in ("ls1", "ls2")
    )
    found = {
        "embed_dim": model.embed_dim,
        "depth": len(model.blocks),
        "class_token": model.cls_token is not None,
        "reg_tokens": registers,
        "num_reg_tokens": registers,
        "init_values": scaled,
    }
    heads = getattr(getattr(block, "attn", None), "num_heads", None)
    return found if heads is None else {**found, "num_heads": heads}


def _said(key: str, value: Any) -> str:
    return f"{'a' if value else 'no'} LayerScale" if key == "init_values" else repr(value)
