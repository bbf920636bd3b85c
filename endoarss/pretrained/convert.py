"""Convert a file's tensors to the layout of timm's model, if this loses no information."""

from __future__ import annotations

import contextlib
import io
import math
import re
import sys
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from endoarss.errors import SettingsError
from endoarss.pretrained.names import Tensors

_OF_ATTENTION = re.compile(r"(.+)\.(qkv|q_proj)\.(weight|bias)")
_LONE_BIAS = re.compile(r"(.+)\.([qv])_bias")
_SEPARATE = ("q_proj", "k_proj", "v_proj")
_BIASES = (".qkv.bias", ".q_proj.bias", ".k_proj.bias", ".v_proj.bias")
_PATCHES, _POSITIONS = "patch_embed.proj.weight", "pos_embed"


def converted(given: Mapping[str, Tensor], model: nn.Module) -> Tensors:
    """Return tensors with the names and shapes of a timm model, as far as the conversion is known.

    - A classifier in the file is left out.
    - q, k and v are joined or split, depending on the model.
    - timm's own function for that kind of model renames the tensors of original files and resizes position embeddings.

    Args:
        given: the tensors by name.
        model: a timm model without its classifier.

    Returns:
        The tensors by their new names.

    Raises:
        SettingsError: if timm's conversion would result in a different model.
    """
    expected = model.state_dict()
    state = _without_classifier(_joined_or_split(given, expected), model)
    _check_patches(state, expected)
    _check_positions(state, expected, model)
    state = _without_zero_biases(state, expected)
    convert = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    if convert is None:
        return state
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # timm's functions print
            state = _without_classifier(convert(dict(state), model), model)
    except (RuntimeError, LookupError, ValueError, AttributeError, TypeError):
        return state  # timm's function cannot use these names; the comparison with the model will list them
    return {name: tensor for name, tensor in state.items() if isinstance(tensor, Tensor)}


def _without_classifier(state: Tensors, model: nn.Module) -> Tensors:
    """Leave out the classifier of the original training, because the models here have none."""
    given: Any = getattr(model, "pretrained_cfg", {}).get("classifier") or ()
    starts = tuple(f"{name}." for name in ((given,) if isinstance(given, str) else given))
    return {name: tensor for name, tensor in state.items() if not name.startswith(starts)}


def _joined_or_split(given: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> Tensors:
    """Return tensors with q, k and v in one tensor or in three, depending on the model."""
    state = dict(given)
    for name in expected:
        lone = _LONE_BIAS.fullmatch(name)
        if lone and (separate_bias := f"{lone[1]}.{lone[2]}_proj.bias") in state:
            state[name] = state.pop(separate_bias)
        match = _OF_ATTENTION.fullmatch(name)
        if match is None:
            continue
        whole, parts = f"{match[1]}.qkv.{match[3]}", [f"{match[1]}.{part}.{match[3]}" for part in _SEPARATE]
        separate = [part in state for part in parts]
        if name == whole and whole not in state and all(separate):
            state[whole] = torch.cat([state.pop(part) for part in parts])
        elif name != whole and whole in state and not any(separate) and len(state[whole]) % 3 == 0:
            state.update(zip(parts, state.pop(whole).chunk(3), strict=True))
    return state


def _check_patches(state: Tensors, expected: Mapping[str, Tensor]) -> None:
    """Raise an error if the patches have another size. timm would resize them, but nobody has trained the resulting model."""
    if _PATCHES in state and _PATCHES in expected and state[_PATCHES].ndim == 4:
        file_size, model_size = (tuple(tensors[_PATCHES].shape[-2:]) for tensors in (state, expected))
        if file_size != model_size:
            raise SettingsError(
                f"its patches have {file_size[0]}x{file_size[1]} pixels, the model's patches {model_size[0]}x{model_size[1]}. "
                f"Choose a timm model with patch{file_size[0]} in its name; patches are not resized."
            )


def _check_positions(state: Tensors, expected: Mapping[str, Tensor], model: nn.Module) -> None:
    """Raise an error if the file's positions do not form a square; its class or register tokens then differ from the model's."""
    if _POSITIONS not in state or _POSITIONS not in expected or "register_tokens" in state:
        return
    positions, model_positions = state[_POSITIONS], expected[_POSITIONS]
    tokens = 0 if getattr(model, "no_embed_class", False) else getattr(model, "num_prefix_tokens", 1)
    if positions.ndim == model_positions.ndim == 3 and positions.shape[1] != model_positions.shape[1]:
        patches = positions.shape[1] - tokens
        if patches < 1 or math.isqrt(patches) ** 2 != patches:
            raise SettingsError(
                f"its pos_embed has {positions.shape[1]} positions; expected those of a square map, plus {tokens} for the model's "
                "class and register tokens. Choose a timm model with the same class and register tokens as the file."
            )


def _without_zero_biases(state: Tensors, expected: Mapping[str, Tensor]) -> Tensors:
    """Leave out biases of q, k and v that the model does not have, such as those of DINOv3, if they are zero.

    Raises:
        SettingsError: if a bias is not zero.
    """
    if any(name.endswith((".q_bias", *_BIASES)) for name in expected):
        return state
    biases = [name for name in state if name.endswith(_BIASES)]
    for name in biases:
        masked = f"{name}_mask" in state  # in Meta's file the bias of k is not used
        parts = state[name].chunk(3)[::2] if masked else (state[name],)
        if any(part.any() for part in parts):
            raise SettingsError(
                f"its {name} is not zero, and the model has no such bias. Choose the timm model whose name ends with _qkvb."
            )
    return {name: tensor for name, tensor in state.items() if name not in biases}
