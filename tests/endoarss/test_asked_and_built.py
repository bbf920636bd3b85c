"""What was asked for is what is built, or it is refused: a model by its own account, and a backbone's streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import timm
import torch
from timm.layers import LayerScale
from torch import nn

from endoarss import build_model
from endoarss.backbones.base import Backbone
from endoarss.backbones.check_built import built_arguments, check_built
from endoarss.backbones.timm_model import bare_timm_model
from endoarss.errors import SettingsError
from endoarss.lora import Streams
from endoarss.registry import BACKBONES
from endoarss.settings import BackboneSettings, ModelSettings

Make = Callable[..., ModelSettings]
VIT = {"embed_dim": 24, "depth": 2, "num_heads": 2}


def scales(model: nn.Module) -> list[nn.Module]:
    return [module for module in model.modules() if isinstance(module, LayerScale)]


def test_no_value_of_init_values_builds_no_layer_scale() -> None:
    """timm itself drops it, and builds the LayerScale that goes with the name."""
    name = "vit_small_patch14_dinov2"
    assert len(scales(timm.create_model(name, **VIT, init_values=None, num_classes=0))) == 4
    assert not scales(bare_timm_model(name, {**VIT, "init_values": None}))
    assert len(scales(bare_timm_model(name, VIT))) == 4
    (first, *_) = scales(bare_timm_model(name, {**VIT, "init_values": 0.5}))
    assert first.gamma.eq(0.5).all()  # type: ignore[union-attr, operator]


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("vit_small_patch14_reg4_dinov2", {**VIT, "init_values": None, "reg_tokens": 2}),
        ("vit_tiny_patch16_224", {**VIT, "init_values": 0.1, "class_token": True}),
        ("vit_small_patch16_dinov3", {**VIT, "num_reg_tokens": 3, "init_values": 0.1}),
        ("resnet26", {"layers": [1, 1, 1, 1], "channels": [8, 8, 12, 16]}),
        ("resnet18", {"layers": [1, 2, 1, 1], "channels": [8, 8, 12, 16]}),
        ("resnext50_32x4d", {"layers": [1, 1, 1, 1], "cardinality": 4}),
        ("convnext_tiny", {"depths": [1, 2, 1, 1], "dims": [8, 8, 12, 16]}),
        ("swin_tiny_patch4_window7_224", {"embed_dim": 8, "depths": [1, 1, 2, 1], "num_heads": [1, 1, 2, 2]}),
    ],
)
def test_models_say_what_they_were_asked_for(name: str, given: dict[str, Any]) -> None:
    """Each argument that can be read is, and every one of them changed is noticed."""
    with torch.device("meta"):
        model = bare_timm_model(name, given)
    built = built_arguments(model)
    readable = [key for key in given if key in built]
    assert readable
    for key in readable:
        other: Any = [*built[key][:-1], 99] if isinstance(built[key], tuple) else 0 if built[key] else 7
        with pytest.raises(SettingsError, match=f"arguments.{key}: the study requests .*, but timm's {name} has"):
            check_built(model, name, {key: other})


def test_an_argument_that_timm_ignores_is_named() -> None:
    """A post-norm EVA has no LayerScale, whatever is asked for."""
    with (
        torch.device("meta"),
        pytest.raises(
            SettingsError,
            match="arguments.init_values: the study requests 0.1, but timm's eva_giant_patch14_224 has no LayerScale",
        ),
    ):
        check_built(timm.create_model("eva_giant_patch14_224", **VIT), "eva_giant_patch14_224", {"init_values": 0.1})


@pytest.fixture
def own_backbone() -> Iterator[Callable[[Callable[..., Backbone]], str]]:
    """Register a backbone for one test."""
    name = "mine"

    def register(make: Callable[..., Backbone]) -> str:
        BACKBONES._imported[name] = make
        return name

    yield register
    BACKBONES._imported.pop(name, None)


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        (
            "tesla",
            "tesla on mine: the architecture needs separate adapters per stream, but stream 0 of the backbone has none",
        ),
        ("mmoe", "separate adapters per stream"),
        ("cgc", "separate adapters per stream"),
        ("cross_stitch", "cross-stitch units after each stage, but the backbone has none"),
        ("merged", "layers with a merged update, but the backbone has none"),
    ],
)
def test_a_backbone_without_what_an_architecture_asks_for_is_refused(
    architecture: str, message: str, make_settings: Make, own_backbone: Callable[[Any], str]
) -> None:
    def plain(settings: BackboneSettings, input_size: int, streams: Streams) -> Backbone:
        return Backbone([nn.Conv2d(3, 8, 8, stride=8)], streams.count, 8, (input_size // 8, input_size // 8))

    name = own_backbone(plain)
    assert build_model(replace(make_settings("resnet", "hps"), backbone=name)).tasks
    with pytest.raises(SettingsError, match=message):
        build_model(replace(make_settings("resnet", architecture), backbone=name))


def test_a_backbone_of_too_few_streams_is_refused(make_settings: Make, own_backbone: Callable[[Any], str]) -> None:
    def single(settings: BackboneSettings, input_size: int, streams: Streams) -> Backbone:
        return Backbone([nn.Conv2d(3, 8, 8, stride=8)], 1, 8, (input_size // 8, input_size // 8))

    name = own_backbone(single)
    with pytest.raises(
        SettingsError, match=r"tesla on mine: the architecture needs 2 stream\(s\), but the backbone provides 1"
    ):
        build_model(replace(make_settings("resnet", "tesla"), backbone=name))
