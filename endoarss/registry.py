"""Components by name: backbones, architectures, weightings, mergers. One file a component, one decorator a file.

The names are read from the source text (`@register_weighting("equal")`), so that listing and checking them imports no
torch; a component's file is imported when it is asked for. Modules of a user's own are added with `add_module`.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from endoarss.errors import SettingsError, UnknownNameError

Component = TypeVar("Component", bound=Callable[..., Any])
_OWN_FOLDER = Path(__file__).parent
_user_modules: list[str] = []


class Registry:
    """The components of one kind. `kind` names the decorator (`register_<kind>`), `folder` where the own ones live."""

    def __init__(self, kind: str, folder: str) -> None:
        self.kind = kind
        self.folder = folder
        self._loaded: dict[str, Any] = {}

    def register(self, name: str) -> Callable[[Component], Component]:
        """Decorate a component to make it known by `name`."""

        def keep(component: Component) -> Component:
            if self._loaded.setdefault(name, component) is not component:
                raise SettingsError(f"two components are registered as {self.kind} {name!r}.")
            return component

        return keep

    def files(self) -> dict[str, Path]:
        """The source file of each component."""
        found = {}
        for path in [*sorted((_OWN_FOLDER / self.folder).glob("*.py")), *map(_module_file, _user_modules)]:
            for name in _names_in(path, f"register_{self.kind}"):
                found[name] = path
        return found

    def module(self, name: str) -> str:
        """The name of the module that registers a component.

        Raises:
            UnknownNameError: if nobody registered it.
        """
        self.check(name)
        path = self.files()[name]
        own = path.parent == _OWN_FOLDER / self.folder
        return (
            f"endoarss.{self.folder}.{path.stem}" if own else next(m for m in _user_modules if _module_file(m) == path)
        )

    def names(self) -> tuple[str, ...]:
        """The names of all components, sorted."""
        return tuple(sorted(self.files()))

    def settings(self, name: str) -> dict[str, Any]:
        """The settings a component takes, with their defaults: its class's `DEFAULTS` and its constructor's keywords."""
        self.check(name)
        return dict(_settings_in(self.files()[name], f"register_{self.kind}", name))

    def check(self, name: str) -> None:
        """Raise UnknownNameError, with the known names, unless `name` is one of them."""
        if name not in self.files():
            raise UnknownNameError(self.kind, name, self.names())

    def get(self, name: str) -> Any:
        """The component itself; imports its file.

        Raises:
            UnknownNameError: if nobody registered it.
        """
        self.check(name)
        if name not in self._loaded:
            path = self.files()[name]
            own = path.parent == _OWN_FOLDER / self.folder
            modules = [f"endoarss.{self.folder}.{path.stem}"] if own else _user_modules
            for module in modules:
                importlib.import_module(module)
        return self._loaded[name]


def add_module(module: str) -> None:
    """Make the components known that an importable module of the user's registers.

    Raises:
        SettingsError: if there is no such module.
    """
    _module_file(module)
    if module not in _user_modules:
        _user_modules.append(module)


def user_modules() -> tuple[str, ...]:
    """Return the modules of the user's own that were added."""
    return tuple(_user_modules)


def _module_file(module: str) -> Path:
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        spec = None
    if spec is None or spec.origin is None:
        raise SettingsError(f"components: no module {module!r} on the Python path; expected an importable module name.")
    return Path(spec.origin)


@cache
def _names_in(path: Path, decorator: str) -> tuple[str, ...]:
    return tuple(_components_in(path, decorator))


@cache
def _settings_in(path: Path, decorator: str, name: str) -> tuple[tuple[str, Any], ...]:
    found: list[tuple[str, Any]] = []
    for statement in _components_in(path, decorator)[name].body:
        if isinstance(statement, ast.Assign) and getattr(statement.targets[0], "id", "") == "DEFAULTS":
            found += ast.literal_eval(statement.value).items()
        elif isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
            given = statement.args
            keywords = [*given.args[len(given.args) - len(given.defaults) :], *given.kwonlyargs]
            values = [*given.defaults, *(value for value in given.kw_defaults if value is not None)]
            found += [(k.arg, ast.literal_eval(value)) for k, value in zip(keywords, values, strict=True)]
    return tuple(found)


def _components_in(path: Path, decorator: str) -> dict[str, Any]:
    names = {}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for call in getattr(node, "decorator_list", []):
            if (
                isinstance(call, ast.Call)
                and isinstance(call.func, ast.Name)
                and call.func.id == decorator
                and isinstance(call.args[0], ast.Constant)
            ):
                names[str(call.args[0].value)] = node
    return names


BACKBONES = Registry("backbone", "backbones")
ARCHITECTURES = Registry("architecture", "architectures")
WEIGHTINGS = Registry("weighting", "weightings")
MERGERS = Registry("merger", "merging")
register_backbone = BACKBONES.register
register_architecture = ARCHITECTURES.register
register_weighting = WEIGHTINGS.register
register_merger = MERGERS.register


def list_backbones() -> tuple[str, ...]:
    """Names of the known backbones."""
    return BACKBONES.names()


def list_architectures() -> tuple[str, ...]:
    """Names of the known multi-task architectures."""
    return ARCHITECTURES.names()


def list_weightings() -> tuple[str, ...]:
    """Names of the known loss and gradient weightings."""
    return WEIGHTINGS.names()


def list_mergers() -> tuple[str, ...]:
    """Names of the known ways to merge models."""
    return MERGERS.names()
