"""Register the components and corruptions of a user's own modules."""

from __future__ import annotations

from collections.abc import Iterable

from corruptions.errors import CorruptionError
from corruptions.registry import Description, add_described, describe, is_built_in
from endoarss.components.user_modules import look_in_working_directory
from endoarss.registry import add_module
from pipeline.errors import InputError

_CORRUPTIONS = {"corruptions": "corruptions.registry:describe_own"}


def add_components(modules: Iterable[str]) -> None:
    """Register the components and corruptions of modules, which are not imported in this process if they need torch.

    Raises:
        SettingsError: if a module cannot be found or imported, or the name of a component is taken; the message names the module.
        InputError: if the name of a corruption is taken.
    """
    for module in modules:
        for description in add_module(module, _CORRUPTIONS).get("corruptions", {}).values():
            _add_corruption(Description(**description))


def own_corruptions(names: Iterable[str]) -> tuple[Description, ...]:
    """Return the descriptions of those corruptions that a user registered."""
    return tuple(describe(name) for name in names if not is_built_in(name))


def know_own_corruptions(described: Iterable[Description]) -> None:
    """Register a user's corruptions in another process, which has not read the study."""
    for description in described:
        look_in_working_directory(description.module)
        _add_corruption(description)


def corruption_modules(names: Iterable[str]) -> tuple[str, ...]:
    """Return the modules that define corruptions, each once."""
    return tuple(dict.fromkeys(describe(name).module for name in names))


def _add_corruption(description: Description) -> None:
    try:
        add_described(description)
    except CorruptionError as error:
        raise InputError(f"components: {error}") from None
