"""The components and corruptions that a user's own modules register."""

from __future__ import annotations

from collections.abc import Iterable

from corruptions.errors import CorruptionError
from corruptions.registry import Description, add_described, describe, is_built_in
from endoarss.components.user_modules import look_in_working_directory
from endoarss.registry import add_module
from pipeline.errors import InputError

_CORRUPTIONS = {"corruptions": "corruptions.registry:describe_own"}


def add_components(modules: Iterable[str]) -> None:
    """Register the components of modules. Modules that need torch are not imported.

    Raises:
        SettingsError, InputError: if one cannot be found or imported, or a name is taken; naming the module.
    """
    for module in modules:
        for one in add_module(module, _CORRUPTIONS).get("corruptions", {}).values():
            _add(Description(**one))


def own_corruptions(names: Iterable[str]) -> tuple[Description, ...]:
    """Return the descriptions of those corruptions that are a user's own."""
    return tuple(describe(name) for name in names if not is_built_in(name))


def know_own_corruptions(described: Iterable[Description]) -> None:
    """Register a user's corruptions in a process that has not read the study."""
    for one in described:
        look_in_working_directory(one.module)
        _add(one)


def corruption_modules(names: Iterable[str]) -> tuple[str, ...]:
    """Return the modules that register the given corruptions, whose code decides what they do."""
    return tuple(dict.fromkeys(describe(name).module for name in names))


def _add(one: Description) -> None:
    try:
        add_described(one)
    except CorruptionError as error:
        raise InputError(f"components: {error}") from None
