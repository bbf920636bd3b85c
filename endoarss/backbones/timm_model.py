"""Build timm models and load their pretrained weights; no other module calls `timm.create_model`."""

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
    """Build a timm model with its pretrained weights.

    Args:
        settings: model, arguments and weights. If the source of the weights is "checkpoint", the caller loads them.
        arguments: arguments for timm from this package's code, in addition to those of the settings.

    Raises:
        SettingsError: if timm does not know the model, an argument is not allowed or is ignored by timm, the hub cannot be reached, or the
            tensors of a weights file do not match the model.
    """
    model = bare_timm_model(settings.model, settings.arguments, settings.weights.source == "hub", **arguments)
    if settings.weights.source == "file":
        load_weights(model, settings)
    return model


def bare_timm_model(name: str, given: Mapping[str, Any], pretrained: bool = False, **arguments: Any) -> Any:
    """Build a timm model without its classifier. The name and the arguments may come from another person's file, so they are checked.

    Args:
        name: the name of the timm model.
        given: arguments from the settings, which are checked against the list of allowed arguments.
        pretrained: whether timm downloads the weights from the hub.
        arguments: arguments from this package's code, which override those of the settings.

    Raises:
        SettingsError: if timm does not know the model, an argument is not allowed or is ignored by timm, or the hub cannot be reached.
    """
    check_model_name(name)
    try:
        entry = timm.models.model_entrypoint(name.split(".")[0])
    except (RuntimeError, KeyError, ValueError):
        raise SettingsError(
            f"timm does not know the model {name!r}.{suggestion(name.split('.')[0], timm.list_models())} "
            "`timm.list_models()` lists all known models."
        ) from None
    checked = check_arguments(entry.__module__.rpartition(".")[2], given)
    try:
        model = timm.create_model(name, pretrained=pretrained, num_classes=0, **{**checked, **arguments})
    except OSError as error:
        raise SettingsError(
            f"the weights of {name!r} cannot be downloaded from the hub ({error}). Download them on another machine and name "
            "the file: weights: {file: path/to/model.safetensors}."
        ) from None
    except Exception as error:  # any exception here means that timm cannot use these arguments together
        raise SettingsError(
            f"timm model {name!r} with {checked | arguments}: {error or type(error).__name__}"
        ) from None
    check_built(model, name, checked)
    return model


def takes_input_size(name: str) -> bool:
    """Return whether a timm model is built for one image size, as a Swin transformer is.

    Args:
        name: the name of the timm model.

    Raises:
        SettingsError: if the name is not a plain model name.
    """
    check_model_name(name)
    known = timm.get_pretrained_cfg(name)
    return known is not None and bool(known.fixed_input_size)
