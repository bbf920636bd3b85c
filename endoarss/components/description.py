"""The description of a component: its source file, the defaults of its settings, and their bounds, read from the Python object."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from endoarss.components.bounds import Bound, check_declared, check_value
from endoarss.errors import SettingsError, UnknownNameError


@dataclass(frozen=True)
class Description:
    """The description of a component, which can be used without importing the component.

    Attributes:
        module: the name of the module that registers the component when it is imported.
        path: the source file; None if there is none, for example for a class that was defined in a notebook.
        line: the first line of the component in that file; 0 if there is no file.
        defaults: the default of each setting, by name.
        bounds: the bound of each setting that has one, by name.
    """

    module: str
    path: Path | None
    line: int
    defaults: Mapping[str, Any] = field(default_factory=dict)
    bounds: Mapping[str, Bound] = field(default_factory=dict)

    def check(self, where: str, given: Mapping[str, Any]) -> None:
        """Raise an error if the component does not accept some settings.

        Args:
            where: the key in the study below which the settings are, for messages.
            given: the settings.

        Raises:
            SettingsError: if a setting is unknown or its value is not allowed; the message says what is expected.
        """
        for name, value in given.items():
            if name not in self.defaults:
                raise UnknownNameError("setting", name, self.defaults, where=f"{where}: ")
            check_value(f"{where}.{name}", value, self.defaults[name], self.bounds.get(name))


def describe(component: Callable[..., Any]) -> Description:
    """Return the description of an imported component.

    Args:
        component: a class, or a function that builds the component.

    Returns:
        Its description.

    Raises:
        SettingsError: if a default or a bound cannot be used.
    """
    return Description(component.__module__, *source_of(component), *settings_of(component))


def settings_of(component: Callable[..., Any]) -> tuple[dict[str, Any], dict[str, Bound]]:
    """Return the defaults and the bounds of a component's settings.

    The settings are the keys of `DEFAULTS` and the constructor's parameters that have a default; `BOUNDS` contains their bounds. All three
    are inherited. A constructor with `**kwargs` also accepts the parameters of its base class.

    Args:
        component: a class, or a function that builds the component.

    Returns:
        The defaults and the bounds, each by the name of the setting.

    Raises:
        SettingsError: if a default or a bound cannot be used; the message names the setting.
    """
    defaults: dict[str, Any] = {}
    bounds: dict[str, Any] = {}
    for base in reversed(inspect.getmro(component) if inspect.isclass(component) else ()):
        defaults |= _mapping(base, "DEFAULTS")
        bounds |= _mapping(base, "BOUNDS")
    defaults |= _keywords(component)
    defaults, bounds = ({key: as_tuple(value) for key, value in each.items()} for each in (defaults, bounds))
    for name in [*bounds, *defaults]:
        if name not in defaults:
            raise UnknownNameError("setting", name, defaults, where="BOUNDS: ")
        try:
            check_declared(defaults[name], bounds.get(name))
        except SettingsError as error:
            raise SettingsError(f"{name}: {error}") from None
    return defaults, bounds


def check_settings_of(component: Callable[..., Any], name: str, given: Mapping[str, Any]) -> None:
    """Raise an error if a component's settings have values that are not allowed. Constructors call this first.

    Args:
        component: the component's class.
        name: the component's name, for messages.
        given: the settings.

    Raises:
        SettingsError: if a setting is unknown or its value is not allowed; the message says what is expected.
    """
    Description("", None, 0, *settings_of(component)).check(name, given)


def source_of(component: Callable[..., Any]) -> tuple[Path | None, int]:
    """Return the source file and the first line of a component.

    Args:
        component: a class or a function.

    Returns:
        The file and the line; None and 0 if there is no such file.
    """
    try:
        return Path(str(inspect.getsourcefile(component))), inspect.getsourcelines(component)[1]
    except (OSError, TypeError):
        return None, 0


def as_tuple(value: Any) -> Any:
    """Return a list as a tuple, and any other value unchanged.

    Args:
        value: any value.
    """
    return tuple(value) if isinstance(value, list) else value


def _mapping(base: type, name: str) -> dict[str, Any]:
    value = vars(base).get(name, {})
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise SettingsError(f"{base.__name__}.{name}: expected a dict whose keys are names of settings.")
    return dict(value)


def _keywords(component: Callable[..., Any]) -> dict[str, Any]:
    """Return the parameters of a function or a constructor that have a default, with their defaults."""
    keywords: dict[str, Any] = {}
    bases = inspect.getmro(component) if inspect.isclass(component) else ()
    for function in [vars(base)["__init__"] for base in bases if "__init__" in vars(base)] or [component]:
        try:
            parameters = inspect.signature(function).parameters.values()
        except (TypeError, ValueError):  # it is written in C
            break
        keywords |= {p.name: p.default for p in parameters if p.default is not p.empty and p.name not in keywords}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return keywords
