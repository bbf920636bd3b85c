"""The description of a component: where it is written, its settings' defaults, and their bounds, as Python sees them."""

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
    """What is known of a component without importing it.

    Attributes:
        module: importing it registers the component.
        path, line: of its source; None and 0 if it has none, such as a class of a notebook.
        defaults: the component's settings, by name.
        bounds: of those settings that have one.
    """

    module: str
    path: Path | None
    line: int
    defaults: Mapping[str, Any] = field(default_factory=dict)
    bounds: Mapping[str, Bound] = field(default_factory=dict)

    def check(self, where: str, given: Mapping[str, Any]) -> None:
        """Refuse settings that the component does not take.

        Raises:
            SettingsError: naming the setting below `where`, its value and what is expected.
        """
        for name, value in given.items():
            if name not in self.defaults:
                raise UnknownNameError("setting", name, self.defaults, where=f"{where}: ")
            check_value(f"{where}.{name}", value, self.defaults[name], self.bounds.get(name))


def describe(component: Callable[..., Any]) -> Description:
    """Describe a component that is there.

    Args:
        component: a class, or a function that makes it.

    Raises:
        SettingsError: as `settings_of`.
    """
    return Description(component.__module__, *source_of(component), *settings_of(component))


def settings_of(component: Callable[..., Any]) -> tuple[dict[str, Any], dict[str, Bound]]:
    """Return the defaults and the bounds of a component's settings.

    The settings are `DEFAULTS`, and what its constructor takes with a default; `BOUNDS` has their bounds. All three are inherited. A
    constructor that takes `**kwargs` takes what its base takes too.

    Raises:
        SettingsError: if a default or bound cannot be used, naming the setting.
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
    """Refuse values that a component's settings cannot have; constructors begin with it.

    Args:
        component: the class whose constructor this is. name: of the component, for the message. given: the settings.

    Raises:
        SettingsError: naming the setting, its value and what is expected.
    """
    Description("", None, 0, *settings_of(component)).check(name, given)


def source_of(component: Callable[..., Any]) -> tuple[Path | None, int]:
    """Return the file and the line that a component is written in; None and 0 if there is no such file."""
    try:
        return Path(str(inspect.getsourcefile(component))), inspect.getsourcelines(component)[1]
    except (OSError, TypeError):
        return None, 0


def as_tuple(value: Any) -> Any:
    """Return a list as a tuple, and any other value as it is."""
    return tuple(value) if isinstance(value, list) else value


def _mapping(base: type, name: str) -> dict[str, Any]:
    value = vars(base).get(name, {})
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise SettingsError(f"{base.__name__}.{name}: expected a dict with names of settings as its keys.")
    return dict(value)


def _keywords(component: Callable[..., Any]) -> dict[str, Any]:
    """Return what a function or a class's constructor takes with a default."""
    found: dict[str, Any] = {}
    bases = inspect.getmro(component) if inspect.isclass(component) else ()
    for maker in [vars(base)["__init__"] for base in bases if "__init__" in vars(base)] or [component]:
        try:
            parameters = inspect.signature(maker).parameters.values()
        except (TypeError, ValueError):  # written in C
            break
        found |= {one.name: one.default for one in parameters if one.default is not one.empty and one.name not in found}
        if not any(one.kind is one.VAR_KEYWORD for one in parameters):
            break
    return found
