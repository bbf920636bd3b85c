"""Defines `Corruption`, and holds the table of all corruptions by name: the project's, and those that a user's modules register."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corruptions.errors import CorruptionError
from corruptions.randomness import Randomness

Image = NDArray[np.uint8]
Mask = NDArray[np.uint8]

STANDARD = "standard"
"""The word that stands for the nineteen corruptions of the paper in a list of names."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
_RESERVED = (STANDARD, "clean")  # words with a meaning in lists of names and in the output folder


def _no_preparation(image: Image, randomness: Randomness) -> None:
    """Return None, for corruptions that prepare nothing."""
    return None


@dataclass(frozen=True)
class Corruption:
    """One corruption.

    Attributes:
        name: the name in tables.
        category: the category in tables.
        apply: (image, severity, prepared, **parameters) -> image. The image is uint8 RGB (H, W, 3) and must not be changed.
        prepare: (image, randomness) -> prepared, which all severities of the image share. All random numbers are drawn here.
        move: (mask, severity, prepared) -> mask if the corruption moves pixels, otherwise None.
    """

    name: str
    category: str
    apply: Callable[..., Image]
    prepare: Callable[[Image, Randomness], Any] = _no_preparation
    move: Callable[[Mask, int, Any], Mask] | None = None

    @property
    def parameters(self) -> tuple[str, ...]:
        """Return the names of the parameters that replace what the severity decides."""
        return tuple(inspect.signature(self.apply).parameters)[3:]


@dataclass(frozen=True)
class Description:
    """The properties of a corruption that are known without importing its module.

    Attributes:
        name: the name in tables.
        category: the category in tables.
        moves: whether it moves pixels, so that a mask must move with them.
        module: the module that registers the corruption when it is imported.
    """

    name: str
    category: str
    moves: bool
    module: str


REGISTERED: dict[str, Corruption] = {}
_DESCRIBED: dict[str, Description] = {}  # corruptions of a user's modules, which may not be imported yet


def register_corruption(
    name: str,
    category: str,
    prepare: Callable[[Image, Randomness], Any] = _no_preparation,
    move: Callable[[Mask, int, Any], Mask] | None = None,
) -> Callable[[Callable[..., Image]], Callable[..., Image]]:
    """Register a function (image, severity, prepared, **parameters) -> image as a corruption; see `Corruption`.

    Args:
        name: a lower-case letter, then lower-case letters, digits and _, at most 60 characters. No other corruption may have the name,
            and `standard` and `clean` are not allowed.
        category: an existing or a new category, written in the same way.
        prepare: (image, randomness) -> prepared, called once per image before all severities.
        move: (mask, severity, prepared) -> mask, if the corruption moves pixels.

    Returns:
        A decorator that registers the function and returns it unchanged.

    Raises:
        CorruptionError: if name or category cannot be used, or another corruption has the name.
    """
    for kind, given in (("name", name), ("category", category)):
        if not isinstance(given, str) or not _NAME.fullmatch(given) or given in _RESERVED:
            raise CorruptionError(
                f"the corruption's {kind} {given!r}; expected lower-case letters, digits and _, at most 60, starting with a letter, "
                f"and none of {', '.join(_RESERVED)}."
            )

    def register(apply: Callable[..., Image]) -> Callable[..., Image]:
        if name in REGISTERED:
            other = REGISTERED[name].apply.__module__
            raise CorruptionError(f"the corruption {name!r} is already registered by {other}. Choose another name.")
        REGISTERED[name] = Corruption(name, category, apply, prepare, move)
        return apply

    return register


def known() -> tuple[str, ...]:
    """Return the names of all corruptions, in no particular order."""
    return tuple(dict.fromkeys((*REGISTERED, *_DESCRIBED)))


def find(name: str) -> Corruption:
    """Return a corruption by name; import the module that registers it if it was only described so far."""
    if name not in REGISTERED:
        importlib.import_module(_DESCRIBED[name].module)
    return REGISTERED[name]


def describe(name: str) -> Description:
    """Return the description of a corruption without importing anything."""
    if name in _DESCRIBED:
        return _DESCRIBED[name]
    corruption = REGISTERED[name]
    return Description(name, corruption.category, corruption.move is not None, corruption.apply.__module__)


def add_described(description: Description) -> None:
    """Add a corruption of a user's module that another process has described.

    Raises:
        CorruptionError: if another module has a corruption of this name.
    """
    other = describe(description.name).module if description.name in known() else description.module
    if other != description.module and description.name in (
        *_DESCRIBED,
        *(name for name in REGISTERED if is_built_in(name)),
    ):
        raise CorruptionError(
            f"{description.module}: the corruption {description.name!r} is already registered by {other}."
        )
    _DESCRIBED[description.name] = description


def is_built_in(name: str) -> bool:
    """Return whether a corruption is registered by this package, not by a user."""
    return name in REGISTERED and REGISTERED[name].apply.__module__.startswith(f"{__package__}.operators.")


def describe_own(module: str) -> dict[str, dict[str, Any]]:
    """Return the descriptions of all corruptions that users registered, as JSON-like data by name.

    Args:
        module: the user's module that was imported last; it becomes the module of corruptions that have no description yet.
    """
    users = [name for name in REGISTERED if not is_built_in(name)]
    return {name: vars(describe(name)) | ({} if name in _DESCRIBED else {"module": module}) for name in users}
