"""Components by name: backbones, architectures, weightings, mergers. One file a component, one decorator a file.

The project's own components are read from their source text, so that listing and checking them imports no torch; a component's file is
imported when it is asked for. Modules of a user's own are added with `add_module`; a process of its own tells what is in them
(`endoarss.components.user_modules`), unless this process has torch already: then they are imported here.
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
    """The components of one kind. `kind` names the decorator (`register_<kind>`), `folder` where the own ones live."""

    def __init__(self, kind: str, folder: str) -> None:
        self.kind = kind
        self.folder = folder
        self._imported: dict[str, Any] = {}
        self._described: dict[str, Description] = {}

    def register(self, name: str) -> Callable[[Component], Component]:
        """Decorate a component to make it known by `name`.

        Raises:
            SettingsError: if the name is no name, or is taken.
        """
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise SettingsError(
                f"the {self.kind} name {shown(name)}; expected lower-case letters, digits and _, in quotes: "
                f'@register_{self.kind}("my_{self.kind}").'
            )

        def keep(component: Component) -> Component:
            own = self._own().get(name)
            if own is not None and own.module != component.__module__:
                raise SettingsError(f"the {self.kind} {name!r} is one of the project's own; choose another name.")
            if self._imported.setdefault(name, component) is not component:
                raise SettingsError(
                    f"the {self.kind} {name!r} is registered a second time; {_place(*source_of(self._imported[name]))} has it already. "
                    "Choose another name for one of them."
                )
            return component

        return keep

    def files(self) -> dict[str, Path]:
        """Return the source file of each component that has one, by name."""
        found = {name: self.describe(name).path for name in self.names()}
        return {name: path for name, path in found.items() if path is not None}

    def module(self, name: str) -> str:
        """The name of the module that registers a component.

        Raises:
            UnknownNameError: if nobody registered it.
        """
        self.check(name)
        return self.describe(name).module

    def names(self) -> tuple[str, ...]:
        """Return the names of all components, sorted."""
        return tuple(sorted({*self._own(), *self._described, *self._imported}))

    def describe(self, name: str) -> Description:
        """Return what is known of a component without importing it.

        Raises:
            UnknownNameError: if nobody registered it. SettingsError: if its settings cannot be used.
        """
        self.check(name)
        known = self._own().get(name) or self._described.get(name)
        return known if known is not None else describe(self._imported[name])

    def settings(self, name: str) -> dict[str, Any]:
        """Return the settings a component takes, with their defaults: its class's `DEFAULTS` and its constructor's keywords."""
        return dict(self.describe(name).defaults)

    def bounds(self, name: str) -> dict[str, Bound]:
        """Return what bounds a component's settings, of those that state one: its class's `BOUNDS`."""
        return dict(self.describe(name).bounds)

    def check(self, name: str, where: str = "") -> None:
        """Raise UnknownNameError, with the known names, unless `name` is one of them.

        Args:
            name: of a component.
            where: what the message begins with, such as "cells.0.weightings: ".
        """
        if name not in self.names():
            raise UnknownNameError(self.kind, name, self.names(), where)

    def get(self, name: str) -> Any:
        """Return the component itself; imports its file.

        Raises:
            UnknownNameError: if nobody registered it. SettingsError: if a user's module cannot be imported.
        """
        self.check(name)
        if name in self._own():
            importlib.import_module(self._own()[name].module)
        elif name not in self._imported:
            for module in _user_modules:
                import_module(module)
        return self._imported[name]

    def add_described(self, found: Mapping[str, Description]) -> None:
        """Make components known that another process described.

        Raises:
            SettingsError: if a name is taken by a component of another place.
        """
        for name, one in found.items():
            other = self._described.get(name)
            if other is not None and (other.path, other.line) != (one.path, one.line):
                raise SettingsError(
                    f"components: {_place(one.path, one.line)}: the {self.kind} {name!r} is registered a second time; "
                    f"{_place(other.path, other.line)} has it already. Choose another name for one of them."
                )
        self._described.update(found)

    def describe_imported(self) -> dict[str, Description]:
        """Return the descriptions of all components that were imported and are not the project's own.

        Raises:
            SettingsError: if the settings of one cannot be used, naming its place.
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
    """Make the components known that an importable module of the user's registers.

    Args:
        module: on the Python path, or in the working directory.
        others: registries of other packages by kind, as "module:function". The function gets the module's name when it is imported, and
            describes what it registered there, by name and as JSON-like data.

    Returns:
        By kind what `others` described; nothing of a module that was added before.

    Raises:
        SettingsError: if there is no such module, it cannot be imported, or a component in it cannot be used; naming file and line.
    """
    if module in _user_modules:
        return {}
    if "torch" in sys.modules:
        fresh, before = module not in sys.modules, [registry.names() for registry in REGISTRIES.values()]
        described = describe_imported(module, others)
        nothing = fresh and [registry.names() for registry in REGISTRIES.values()] == before
        nothing = nothing and not any(described[kind] for kind in others)
    else:
        described = describe_module(module, others)
        nothing = not any(described.values())
        for kind, registry in REGISTRIES.items():
            registry.add_described({name: _from_json(one) for name, one in described[kind].items()})
    if nothing:
        raise SettingsError(
            f"components: {module} registers no component; expected a module with @register_weighting or the like."
        )
    _user_modules.append(module)
    return {kind: described[kind] for kind in others}


def user_modules() -> tuple[str, ...]:
    """Return the modules of the user's own that were added."""
    return tuple(_user_modules)


def describe_imported(module: str, others: Mapping[str, str] = _NO_OTHERS) -> dict[str, dict[str, Any]]:
    """Import a user's module, and describe all components that are not the project's own, as JSON-like data by kind and name.

    Args:
        module, others: as for `add_module`.

    Raises:
        SettingsError: as `add_module`.
    """
    import_module(module)
    described = {kind: resolve_name(function)(module) for kind, function in others.items()}
    return described | {
        key: {
            name: {**asdict(one), "path": str(one.path) if one.path else None}
            for name, one in registry.describe_imported().items()
        }
        for key, registry in REGISTRIES.items()
    }


def check_settings(kind: str, name: str, given: Mapping[str, Any], where: str = "") -> None:
    """Refuse settings that a component does not take, or values that one cannot have.

    Args:
        kind: as studies name it: "backbones", "architectures", "weightings" or "mergers".
        name: of the component.
        given: its settings.
        where: what messages begin with; by default the kind and the name, such as "weightings.db_mtl".

    Raises:
        UnknownNameError: if there is no such component, or it has no such setting. SettingsError: naming the setting, its value and what is
            expected.
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
