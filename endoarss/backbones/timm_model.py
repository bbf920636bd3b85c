"""The one place that builds timm models, and how pretrained weights reach them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import timm

from endoarss.backbones.check_built import check_built
from endoarss.errors import SettingsError, suggestion
from endoarss.pretrained.load import load_weights
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
        load_weights(model, settings)
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
