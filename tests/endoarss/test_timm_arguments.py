"""What may reach timm: the names and arguments of the list, in their bounds, and nothing else."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import pytest
import timm
from hypothesis import given
from hypothesis import strategies as st
from timm.models.convnext import ConvNeXt
from timm.models.efficientnet import EfficientNet
from timm.models.eva import Eva
from timm.models.resnet import ResNet
from timm.models.swin_transformer import SwinTransformer
from timm.models.swin_transformer_v2 import SwinTransformerV2
from timm.models.vision_transformer import VisionTransformer

from endoarss.backbones.timm_model import bare_timm_model
from endoarss.errors import SettingsError
from endoarss.timm_arguments import (
    ARGUMENTS,
    CONVNEXT,
    EFFICIENTNET,
    EVA,
    RESNET,
    SWIN,
    SWIN_V2,
    VISION_TRANSFORMER,
    check_arguments,
    check_model_name,
)

ROOT = Path(__file__).parents[2]
ALLOWED = {kind: set(adapter.json_schema()["properties"]) for kind, adapter in ARGUMENTS.items()}
OF_CREATE = [name for name in inspect.signature(timm.create_model).parameters if name != "kwargs"]


MODELS = {
    VISION_TRANSFORMER: VisionTransformer,
    RESNET: ResNet,
    EVA: Eva,
    CONVNEXT: ConvNeXt,
    SWIN: SwinTransformer,
    SWIN_V2: SwinTransformerV2,
    EFFICIENTNET: EfficientNet,
}


@pytest.mark.parametrize(("kind", "model"), MODELS.items())
def test_every_argument_of_the_list_is_one_of_the_models(kind: str, model: type) -> None:
    allowed = ALLOWED[kind]
    assert allowed <= set(inspect.signature(model.__init__).parameters)
    # Nothing that fetches, opens, runs or replaces a layer, and nothing that this package decides itself.
    assert not allowed & {
        *OF_CREATE,
        "num_classes",
        "in_chans",
        "img_size",
        "output_stride",
        "device",
        "dtype",
        "block_fn",
        "block",
    }


@pytest.mark.parametrize(
    "name", [*OF_CREATE[1:], "features_only", "block_fn", "norm_layer", "weight_init", "num_classes", "img_size"]
)
@pytest.mark.parametrize("kind", ALLOWED)
def test_any_other_argument_is_refused_by_name(kind: str, name: str) -> None:
    for value in ({"url": "file:///etc/passwd"}, "/etc/passwd", True, 1):
        with pytest.raises(SettingsError, match=f"arguments.'{name}': not allowed for a {kind}.* Allowed: "):
            check_arguments(kind, {name: value})


@given(st.text(max_size=40))
def test_any_argument_not_thought_of_is_refused(name: str) -> None:
    for kind, known in ALLOWED.items():
        if name not in known:
            with pytest.raises(SettingsError):
                check_arguments(kind, {name: 1})


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (VISION_TRANSFORMER, {"depth": 10**9}, "depth: 1000000000 is not allowed"),
        (VISION_TRANSFORMER, {"depth": True}, "depth: True is not allowed"),
        (VISION_TRANSFORMER, {"embed_dim": 24.0}, "embed_dim: 24.0 is not allowed"),
        (VISION_TRANSFORMER, {"drop_path_rate": float("nan")}, "drop_path_rate: nan"),
        (VISION_TRANSFORMER, {"act_layer": "os.system"}, "act_layer: 'os.system'"),
        (RESNET, {"channels": [8, 8, 8]}, "channels: .* is not allowed"),
        (RESNET, {"layers": [1, 1, 1, 10**6]}, "layers.3: 1000000"),
        (
            CONVNEXT,
            {"depths": [1]},
            "depths: .* is not allowed; expected a list of 4, each a whole number from 1 to 128",
        ),
        (EVA, {"init_values": None}, "init_values: None is not allowed"),
        (SWIN, {"window_size": 10**6}, "window_size: 1000000 is not allowed"),
        ("levit", {"depths": [1]}, "no arguments are allowed for a timm model of kind levit"),
    ],
)
def test_values_out_of_bounds_name_key_and_value(kind: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        check_arguments(kind, arguments)


@pytest.mark.parametrize(
    "name",
    [
        "hf-hub:timm/resnet26",
        "local-dir:/tmp/x",
        "file:///etc/passwd",
        "../x",
        "a b",
        "",
        "resnet26\n",
        "RESNET26",
        "a.b.c",
        7,
        None,
    ],
)
def test_a_name_that_is_more_than_a_name_is_refused(name: object) -> None:
    with pytest.raises(SettingsError, match="expected the name of a timm model"):
        check_model_name(name)
    with pytest.raises(SettingsError):
        bare_timm_model(name, {})  # type: ignore[arg-type]


def test_arguments_that_do_not_go_together_are_told_in_one_sentence() -> None:
    with pytest.raises(SettingsError, match="timm model 'vit_small_patch14_dinov2' with"):
        bare_timm_model("vit_small_patch14_dinov2", {"num_heads": 5})
    with pytest.raises(
        SettingsError, match="arguments.embed_dim: 25 is not allowed; expected a multiple of num_heads, 2"
    ):
        bare_timm_model("vit_small_patch14_dinov2", {"embed_dim": 25, "num_heads": 2})


def test_a_mistyped_model_is_answered_with_the_closest() -> None:
    with pytest.raises(SettingsError, match="timm does not know the model 'resnet_26'. Did you mean '.*resnet26"):
        bare_timm_model("resnet_26", {})


def test_one_place_builds_timm_models() -> None:
    """Whatever comes from a file passes the list, for no other code calls timm."""
    callers = set()
    for package in ("endoarss", "pipeline", "reports", "corruptions"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Attribute) and node.attr == "create_model":
                    callers.add(str(path.relative_to(ROOT)))
    assert callers == {"endoarss/backbones/timm_model.py"}


def test_the_documents_list_is_the_list() -> None:
    text = (ROOT / "docs/provenance.md").read_text(encoding="utf-8")
    for kind, allowed in ALLOWED.items():
        line = next(line for line in text.splitlines() if line.startswith(f"| `{kind}` |"))
        assert set(line.split("`")[3::2]) == allowed
