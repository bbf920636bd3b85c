"""The one place that builds timm models, and how pretrained weights reach them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn
from torch import nn

from endoarss.backbones.check_built import check_built
from endoarss.errors import SettingsError, suggestion
from endoarss.settings import BackboneSettings
from endoarss.timm_arguments import check_arguments, check_model_name


def create_timm_model(settings: BackboneSettings, **arguments: Any) -> Any:
    """Build a timm model with the weights that its settings ask for.

    Args:
        settings: model, arguments and weights. Weights of source "checkpoint" are loaded by the caller.
        arguments: further arguments of timm, from this package's own code.

    Raises:
        SettingsError: if timm does not know the model, an argument is not allowed, the hub cannot be reached, or a file
            does not fit strictly.
    """
    model = bare_timm_model(settings.model, settings.arguments, settings.weights.source == "hub", **arguments)
    if settings.weights.source == "file":
        _load_file_strictly(model, settings)
    return model


def bare_timm_model(name: str, given: Mapping[str, Any], pretrained: bool = False, **arguments: Any) -> Any:
    """Build a timm model without its classifier, from a name and arguments that may come from a file that somebody sent.

    Args:
        name: of the timm model. given: arguments from settings, checked against the list of those that are allowed.
        pretrained: whether timm fetches its weights from the hub. arguments: of this package's own code; they come first.

    Raises:
        SettingsError: if timm does not know the model, an argument is not allowed, or the hub cannot be reached.
    """
    check_model_name(name)
    try:
        entry = timm.models.model_entrypoint(name.split(".")[0])
    except (RuntimeError, KeyError, ValueError):
        raise SettingsError(
            f"timm does not know the model {name!r}.{suggestion(name.split('.')[0], timm.list_models())} "
            "`timm.list_models()` lists those it knows."
        ) from None
    checked = check_arguments(entry.__module__.rpartition(".")[2], given)
    try:
        model = timm.create_model(name, pretrained=pretrained, num_classes=0, **{**checked, **arguments})
    except OSError as error:
        raise SettingsError(
            f"weights of {name!r} cannot be fetched from the hub ({error}). Download them elsewhere and give "
            "the file: weights: {file: path/to/model.safetensors}."
        ) from None
    except Exception as error:  # whatever timm trips over, it is its arguments that do not go together
        raise SettingsError(
            f"timm model {name!r} with {checked | arguments}: {error or type(error).__name__}"
        ) from None
    check_built(model, name, checked)
    return model


def takes_input_size(name: str) -> bool:
    """Return whether a timm model is built for one size of images, such as a Swin transformer with its windows.

    Raises:
        SettingsError: if the name is no name.
    """
    check_model_name(name)
    known = timm.get_pretrained_cfg(name)
    return known is not None and bool(known.fixed_input_size)


def _load_file_strictly(model: nn.Module, settings: BackboneSettings) -> None:
    path = Path(settings.weights.path)
    if not path.is_file():
        raise SettingsError(f"{path}: no such file; expected the weights of {settings.model!r} as safetensors.")
    if settings.weights.sha256:
        found = file_sha256(path)
        if found != settings.weights.sha256:
            raise SettingsError(
                f"{path}: sha256 {found}; expected {settings.weights.sha256}: another file than before."
            )
    try:
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        raise SettingsError(f"{path}: not a safetensors file ({error}).") from None
    prefix = settings.weights.prefix
    if prefix:
        state = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        if not state:
            raise SettingsError(f"{path}: no name begins with the prefix {prefix!r}.")
    # A file as timm publishes it holds the classifier of its own training, which no model here has.
    classifiers = getattr(model, "pretrained_cfg", {}).get("classifier") or ()
    names = (classifiers,) if isinstance(classifiers, str) else tuple(classifiers)
    state = {key: value for key, value in state.items() if not key.startswith(tuple(f"{name}." for name in names))}
    try:
        if isinstance(model, VisionTransformer):
            # Layouts of original releases and positions of other input sizes become this model's.
            state = checkpoint_filter_fn(state, model)
        model.load_state_dict(state, strict=True)
    except (RuntimeError, LookupError, ValueError, AttributeError) as error:
        raise SettingsError(f"{path}: does not fit {settings.model!r} strictly. {error}") from None


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
