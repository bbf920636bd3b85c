"""The model names and keyword arguments that may be passed to timm, for each kind of model. This module does not import torch.

Names and arguments come from studies and from the headers of other people's checkpoints. timm accepts far more than is allowed here,
and some of it downloads, opens or writes files: `pretrained_cfg`, `cache_dir`, `checkpoint_path`, and names such as `hf-hub:...` and
`local-dir:...`. Anything that is not listed here is never passed to timm.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from endoarss.errors import SettingsError, shown, suggestion
from endoarss.schema_words import described

VISION_TRANSFORMER, RESNET = "vision_transformer", "resnet"
EVA, CONVNEXT, EFFICIENTNET = "eva", "convnext", "efficientnet"
SWIN, SWIN_V2 = "swin_transformer", "swin_transformer_v2"

_NAME = re.compile(r"[a-z0-9_]{1,100}(\.[a-z0-9_]{1,100})?\Z")

Width = Annotated[int, Field(ge=1, le=8192)]
Count = Annotated[int, Field(ge=1, le=128)]
Rate = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Scale = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
Activation = Literal["relu", "gelu", "gelu_tanh", "quick_gelu", "silu"]
_NO_OTHERS = ConfigDict(extra="forbid", strict=True)


class VisionTransformerArguments(TypedDict, total=False):
    """Arguments of timm's `VisionTransformer`. `init_values: null` means no LayerScale."""

    __pydantic_config__ = _NO_OTHERS  # type: ignore[misc]

    embed_dim: Width
    depth: Count
    num_heads: Count
    mlp_ratio: Scale
    qkv_bias: bool
    qk_norm: bool
    init_values: Scale | None
    class_token: bool
    no_embed_class: bool
    reg_tokens: Annotated[int, Field(ge=0, le=128)]
    pre_norm: bool
    final_norm: bool
    act_layer: Activation
    pos_drop_rate: Rate
    proj_drop_rate: Rate
    attn_drop_rate: Rate
    drop_path_rate: Rate


class ResNetArguments(TypedDict, total=False):
    """Arguments of timm's `ResNet`; every ResNet here has four stages."""

    __pydantic_config__ = _NO_OTHERS  # type: ignore[misc]

    layers: Annotated[tuple[Count, ...], Field(min_length=4, max_length=4)]
    channels: Annotated[tuple[Width, ...], Field(min_length=4, max_length=4)]
    stem_width: Width
    stem_type: Literal["", "deep", "deep_tiered"]
    avg_down: bool
    cardinality: Count
    base_width: Width
    act_layer: Activation
    zero_init_last: bool
    drop_path_rate: Rate
    drop_block_rate: Rate


class EvaArguments(TypedDict, total=False):
    """Arguments of timm's `Eva`, the class that also implements DINOv3."""

    __pydantic_config__ = _NO_OTHERS  # type: ignore[misc]

    embed_dim: Width
    depth: Count
    num_heads: Count
    mlp_ratio: Scale
    qkv_bias: bool
    qkv_fused: bool
    swiglu_mlp: bool
    scale_mlp: bool
    init_values: Scale
    class_token: bool
    num_reg_tokens: Annotated[int, Field(ge=0, le=128)]
    pos_drop_rate: Rate
    proj_drop_rate: Rate
    attn_drop_rate: Rate
    drop_path_rate: Rate


class ConvNeXtArguments(TypedDict, total=False):
    """Arguments of timm's `ConvNeXt`, which has four stages."""

    __pydantic_config__ = _NO_OTHERS  # type: ignore[misc]

    depths: Annotated[tuple[Count, ...], Field(min_length=4, max_length=4)]
    dims: Annotated[tuple[Width, ...], Field(min_length=4, max_length=4)]
    drop_path_rate: Rate


class SwinArguments(TypedDict, total=False):
    """Arguments of timm's `SwinTransformer` and `SwinTransformerV2`, which have four stages, each twice as wide as the one before."""

    __pydantic_config__ = _NO_OTHERS  # type: ignore[misc]

    embed_dim: Width
    depths: Annotated[tuple[Count, ...], Field(min_length=4, max_length=4)]
    num_heads: Annotated[tuple[Count, ...], Field(min_length=4, max_length=4)]
    window_size: Annotated[int, Field(ge=1, le=64)]
    mlp_ratio: Scale
    attn_drop_rate: Rate
    proj_drop_rate: Rate
    drop_path_rate: Rate


class EfficientNetArguments(TypedDict, total=False):
    """Arguments of timm's `EfficientNet`; the model's name decides its size."""

    __pydantic_config__ = _NO_OTHERS  # type: ignore[misc]

    drop_path_rate: Rate


ARGUMENTS: dict[str, TypeAdapter[Any]] = {
    VISION_TRANSFORMER: TypeAdapter(VisionTransformerArguments),
    RESNET: TypeAdapter(ResNetArguments),
    EVA: TypeAdapter(EvaArguments),
    CONVNEXT: TypeAdapter(ConvNeXtArguments),
    SWIN: TypeAdapter(SwinArguments),
    SWIN_V2: TypeAdapter(SwinArguments),
    EFFICIENTNET: TypeAdapter(EfficientNetArguments),
}


def check_model_name(name: object) -> None:
    """Raise an error unless a value is a plain timm model name, and not a path, an address or a source such as `hf-hub:`.

    Args:
        name: a name such as "resnet101" or "vit_base_patch14_dinov2.lvd142m".

    Raises:
        SettingsError: if the value is not such a name.
    """
    if not isinstance(name, str) or not _NAME.match(name):
        raise SettingsError(
            f"timm model {shown(name)}; expected the name of a timm model: lower-case letters, digits and _, with at most one dot."
        )


def check_arguments(kind: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Check keyword arguments for timm and return them in the types that timm expects.

    Args:
        kind: the name of timm's module that defines the model, such as "vision_transformer". Kinds that are not listed accept no arguments.
        arguments: JSON-like keyword arguments.

    Returns:
        The arguments, with tuples instead of lists.

    Raises:
        SettingsError: if an argument is not allowed; the message names the argument, its value and what is allowed.
    """
    if kind not in ARGUMENTS:
        if arguments:
            raise SettingsError(
                f"arguments {shown(sorted(arguments))}: no arguments are allowed for a timm model of kind {kind}."
            )
        return {}
    try:
        checked: dict[str, Any] = ARGUMENTS[kind].validate_json(json.dumps(arguments))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"])) or "arguments"
        if first["type"] == "extra_forbidden":
            allowed = sorted(_names(kind))
            raise SettingsError(
                f"arguments.{shown(where)}: not allowed for a {kind}.{suggestion(where, allowed)} Allowed: {', '.join(allowed)}."
            ) from None
        raise SettingsError(
            f"arguments.{where}: {shown(first['input'])} is not allowed; expected {_expected(kind, first['loc'])}."
        ) from None
    except (TypeError, ValueError, RecursionError):
        raise SettingsError(f"arguments: {shown(arguments)}; expected names with numbers, words or lists.") from None
    width, heads = checked.get("embed_dim"), checked.get("num_heads")
    if width and isinstance(heads, int) and width % heads:
        raise SettingsError(f"arguments.embed_dim: {width} is not allowed; expected a multiple of num_heads, {heads}.")
    # timm drops arguments that are None and would then build the model's default LayerScale; with 0 it builds none.
    return {name: 0.0 if value is None else value for name, value in checked.items()}


def _expected(kind: str, path: tuple[int | str, ...]) -> str:
    """Return in words which values an argument, or an item of a list argument, may have."""
    if not path:
        return "names with values"
    schema = ARGUMENTS[kind].json_schema()["properties"][path[0]]
    return described(schema["items"] if len(path) > 1 and "items" in schema else schema)


def _names(kind: str) -> list[str]:
    return list(ARGUMENTS[kind].json_schema()["properties"])
