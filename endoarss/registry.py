"""The registries of backbones, architectures, weightings and mergers. Each component is one file with one decorator.

This package's own components are described from their source text, so that listing and checking them does not import torch; a component's
file is imported when the component is used. `add_module` adds a user's module. If torch is not yet imported, a separate process describes
that module (`endoarss.components.user_modules`); otherwise it is imported into this process.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from pkgutil import resolve_name
from types import MappingProxyType
from typing import Any, TypeVar

from endoarss.components.bounds import Bound
from endoarss.components.description import Description, as_tuple, describe, source_of
from endoarss.components.own_source import own_components
from endoarss.components.user_modules import describe_module, import_module, short_path
from endoarss.errors import SettingsError, UnknownNameError, shown

Component = TypeVar("Component", bound=Callable[..., Any])
_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
_NO_OTHERS: Mapping[str, str] = MappingProxyType({})
_user_modules: list[str] = []


class Registry:
    """The components of one kind, by name.

    Args:
        kind: the kind in the decorator's name, `register_<kind>`.
        folder: the folder of this package's own components of that kind.
    """

    def __init__(self, kind: str, folder: str) -> None:
        self.kind = kind
        self.folder = folder
        self._imported: dict[str, Any] = {}
        self._described: dict[str, Description] = {}

    def register(self, name: str) -> Callable[[Component], Component]:
        """Return a decorator that registers a component.

        Args:
            name: the name of the component: a lower-case letter, then lower-case letters, digits and `_`, at most 60 characters.

        Raises:
            SettingsError: if the name is not allowed or already used.
        """
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise SettingsError(
                f"the {self.kind} name {shown(name)} is not allowed; expected lower-case letters, digits and _, at most 60, starting with "
                f'a letter, in quotes: @register_{self.kind}("my_{self.kind}").'
            )

        def add(component: Component) -> Component:
            own = self._own().get(name)
            if own is not None and own.module != component.__module__:
                raise SettingsError(f"the {self.kind} {name!r} is one of the project's own; choose another name.")
            if self._imported.setdefault(name, component) is not component:
                raise SettingsError(
                    f"the {self.kind} {name!r} is registered a second time; {_place(*source_of(self._imported[name]))} registers it too. "
                    "Choose another name for one of them."
                )
            return component

        return add

    def files(self) -> dict[str, Path]:
        """Return the source file of each component that has one, by name."""
        found = {name: self.describe(name).path for name in self.names()}
        return {name: path for name, path in found.items() if path is not None}

    def module(self, name: str) -> str:
        """Return the name of the module that registers a component.

        Args:
            name: the name of the component.

        Raises:
            UnknownNameError: if no component has that name.
        """
        self.check(name)
        return self.describe(name).module

    def names(self) -> tuple[str, ...]:
        """Return the names of all components, sorted."""
        return tuple(sorted({*self._own(), *self._described, *self._imported}))

    def describe(self, name: str) -> Description:
        """Return the description of a component.

        Args:
            name: the name of the component.

        Raises:
            UnknownNameError: if no component has that name.
            SettingsError: if the defaults or bounds of its settings cannot be used.
        """
        self.check(name)
        known = self._own().get(name) or self._described.get(name)
        return known if known is not None else describe(self._imported[name])

    def settings(self, name: str) -> dict[str, Any]:
        """Return the settings of a component with their defaults: its class's `DEFAULTS` and its constructor's keywords.

        Args:
            name: the name of the component.

        Raises:
            UnknownNameError, SettingsError: as `describe`.
        """
        return dict(self.describe(name).defaults)

    def bounds(self, name: str) -> dict[str, Bound]:
        """Return the bounds of a component's settings, its class's `BOUNDS`. Settings without a bound are not included.

        Args:
            name: the name of the component.

        Raises:
            UnknownNameError, SettingsError: as `describe`.
        """
        return dict(self.describe(name).bounds)

    def check(self, name: str, where: str = "") -> None:
        """Raise an error unless a component of a name is registered.

        Args:
            name: the name to check.
            where: text that begins the message, such as "cells.0.weightings: ".

        Raises:
            UnknownNameError: if no component has that name; the message lists the known names.
        """
        if name not in self.names():
            raise UnknownNameError(self.kind, name, self.names(), where)

    def get(self, name: str) -> Any:
        """Import a component and return it.

        Args:
            name: the name of the component.

        Raises:
            UnknownNameError: if no component has that name.
            SettingsError: if a user's module cannot be imported.
        """
        self.check(name)
        if name in self._own():
            importlib.import_module(self._own()[name].module)
        elif name not in self._imported:
            for module in _user_modules:
                import_module(module)
        return self._imported[name]

    def add_described(self, found: Mapping[str, Description]) -> None:
        """Add components that another process described.

        Args:
            found: the descriptions by name.

        Raises:
            SettingsError: if another component already has one of the names.
        """
        for name, new in found.items():
            other = self._described.get(name)
            if other is not None and (other.path, other.line) != (new.path, new.line):
                raise SettingsError(
                    f"components: {_place(new.path, new.line)}: the {self.kind} {name!r} is registered a second time; "
                    f"{_place(other.path, other.line)} registers it too. Choose another name for one of them."
                )
        self._described.update(found)

    def describe_imported(self) -> dict[str, Description]:
        """Return the descriptions of all imported components that do not belong to this package, by name.

        Raises:
            SettingsError: if the settings of a component cannot be used; the message gives its file and line.
        """
        found = {}
        for name in sorted(set(self._imported) - set(self._own())):
            try:
                found[name] = describe(self._imported[name])
            except SettingsError as error:
                place = _place(*source_of(self._imported[name]))
                raise SettingsError(f"components: {place}: the {self.kind} {name!r}: {error}") from None
        return found

    def _own(self) -> dict[str, Description]:
        return own_components(self.kind, self.folder)


def add_module(module: str, others: Mapping[str, str] = _NO_OTHERS) -> dict[str, dict[str, Any]]:
    """Add the components that a user's module registers.

    Args:
        module: the name of a module on the Python path or in the working directory.
        others: registries of other packages by kind, as "module:function". After the import, the function is called with the name of the
            user's module. It returns descriptions of what this module registered in the other registry, by name, as JSON-like data.

    Returns:
        The descriptions from `others` by kind; empty if the module was added before.

    Raises:
        SettingsError: if there is no such module, it cannot be imported, or one of its components cannot be used; the message gives file
            and line.
    """
    if module in _user_modules:
        return {}
    if "torch" in sys.modules:
        is_new, before = module not in sys.modules, [registry.names() for registry in REGISTRIES.values()]
        described = describe_imported(module, others)
        is_empty = is_new and [registry.names() for registry in REGISTRIES.values()] == before
        is_empty = is_empty and not any(described[kind] for kind in others)
    else:
        described = describe_module(module, others)
        is_empty = not any(described.values())
        for kind, registry in REGISTRIES.items():
            registry.add_described({name: _from_json(stored) for name, stored in described[kind].items()})
    if is_empty:
        raise SettingsError(
            f"components: {module} registers no component; expected a module with @register_weighting or a similar decorator."
        )
    _user_modules.append(module)
    return {kind: described[kind] for kind in others}


def user_modules() -> tuple[str, ...]:
    """Return the names of the user's modules that were added."""
    return tuple(_user_modules)


def describe_imported(module: str, others: Mapping[str, str] = _NO_OTHERS) -> dict[str, dict[str, Any]]:
    """Import a user's module into this process and describe all components that do not belong to this package.

    Args:
        module: the name of the module.
        others: registries of other packages, see `add_module`.

    Returns:
        The descriptions as JSON-like data, by kind and name.

    Raises:
        SettingsError: for the same reasons as in `add_module`.
    """
    import_module(module)
    described = {kind: resolve_name(function)(module) for kind, function in others.items()}
    return described | {
        key: {
            name: {**asdict(description), "path": str(description.path) if description.path else None}
            for name, description in registry.describe_imported().items()
        }
        for key, registry in REGISTRIES.items()
    }


def check_settings(kind: str, name: str, given: Mapping[str, Any], where: str = "") -> None:
    """Raise an error if a component does not accept some settings or their values.

    Args:
        kind: the kind as studies name it: "backbones", "architectures", "weightings" or "mergers".
        name: the name of the component.
        given: the settings.
        where: text that begins messages; by default kind and name, such as "weightings.db_mtl".

    Raises:
        UnknownNameError: if there is no such component, or it has no such setting.
        SettingsError: if a value is not allowed; the message says what is expected.
    """
    REGISTRIES[kind].check(name, f"{kind}: ")
    REGISTRIES[kind].describe(name).check(where or f"{kind}.{name}", given)


def _from_json(stored: dict[str, Any]) -> Description:
    tuples = {key: {name: as_tuple(value) for name, value in stored[key].items()} for key in ("defaults", "bounds")}
    path = Path(stored["path"]) if stored["path"] else None
    return Description(stored["module"], path, stored["line"], tuples["defaults"], tuples["bounds"])


def _place(path: Path | None, line: int) -> str:
    return f"{short_path(path)}, line {line}" if path else "this session"


BACKBONES = Registry("backbone", "backbones")
ARCHITECTURES = Registry("architecture", "architectures")
WEIGHTINGS = Registry("weighting", "weightings")
MERGERS = Registry("merger", "merging")
REGISTRIES = {"backbones": BACKBONES, "architectures": ARCHITECTURES, "weightings": WEIGHTINGS, "mergers": MERGERS}
register_backbone = BACKBONES.register
register_architecture = ARCHITECTURES.register
register_weighting = WEIGHTINGS.register
register_merger = MERGERS.register


def list_backbones() -> tuple[str, ...]:
    """Return the names of the known backbones."""
    return BACKBONES.names()


def list_architectures() -> tuple[str, ...]:
    """Return the names of the known multi-task architectures."""
    return ARCHITECTURES.names()


def list_weightings() -> tuple[str, ...]:
    """Return the names of the known loss and gradient weightings."""
    return WEIGHTINGS.names()


def list_mergers() -> tuple[str, ...]:
    """Return the names of the known ways to merge models."""
    return MERGERS.names()
