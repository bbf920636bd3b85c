"""What a corruption is, and the one place where they are known by name: the project's, and those of a user's own modules."""

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
"""What a list of names calls the nineteen corruptions of the paper."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
_TAKEN = (STANDARD, "clean")  # words of lists, and of folders


def _nothing(image: Image, randomness: Randomness) -> None:
    return None


@dataclass(frozen=True)
class Corruption:
    """One corruption.

    Attributes:
        name, category: as tables show them.
        apply: (image, severity, prepared, **parameters) -> image. Image: uint8 RGB (H, W, 3), not to be changed.
        prepare: (image, randomness) -> prepared: what all severities of the image share. Everything random is drawn here.
        move: (mask, severity, prepared) -> mask, where the corruption moves pixels; else None.
    """

    name: str
    category: str
    apply: Callable[..., Image]
    prepare: Callable[[Image, Randomness], Any] = _nothing
    move: Callable[[Mask, int, Any], Mask] | None = None

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the parameters that replace what the severity decides."""
        return tuple(inspect.signature(self.apply).parameters)[3:]


@dataclass(frozen=True)
class Description:
    """What is known of a corruption without importing its module.

    Attributes:
        name, category: as tables show them.
        moves: whether it moves pixels, so that a mask must move along.
        module: importing it registers the corruption.
    """

    name: str
    category: str
    moves: bool
    module: str


REGISTERED: dict[str, Corruption] = {}
_DESCRIBED: dict[str, Description] = {}  # of a user's modules, which may not be imported yet


def register_corruption(
    name: str,
    category: str,
    prepare: Callable[[Image, Randomness], Any] = _nothing,
    move: Callable[[Mask, int, Any], Mask] | None = None,
) -> Callable[[Callable[..., Image]], Callable[..., Image]]:
    """Make a function (image, severity, prepared, **parameters) -> image known as a corruption; see `Corruption`.

    Raises:
        CorruptionError: if name or category is no name, or the name is taken.
    """
    for kind, given in (("name", name), ("category", category)):
        if not isinstance(given, str) or not _NAME.fullmatch(given) or given in _TAKEN:
            raise CorruptionError(
                f"the corruption's {kind} {given!r}; expected lower-case letters, digits and _, beginning with a letter, and none of "
                f"{', '.join(_TAKEN)}."
            )

    def register(apply: Callable[..., Image]) -> Callable[..., Image]:
        if name in REGISTERED:
            other = REGISTERED[name].apply.__module__
            raise CorruptionError(f"the corruption {name!r} is registered by {other} already. Choose another name.")
        REGISTERED[name] = Corruption(name, category, apply, prepare, move)
        return apply

    return register


def known() -> tuple[str, ...]:
    """Return the names of all corruptions, the project's in any order and then a user's."""
    return tuple(dict.fromkeys((*REGISTERED, *_DESCRIBED)))


def find(name: str) -> Corruption:
    """Return a corruption that is known; a user's module that was only described is imported now."""
    if name not in REGISTERED:
        importlib.import_module(_DESCRIBED[name].module)
    return REGISTERED[name]


def describe(name: str) -> Description:
    """Return what is known of a corruption without importing anything."""
    if name in _DESCRIBED:
        return _DESCRIBED[name]
    one = REGISTERED[name]
    return Description(name, one.category, one.move is not None, one.apply.__module__)


def add_described(one: Description) -> None:
    """Make a corruption of a user's module known, which another process described.

    Raises:
        CorruptionError: if another module has a corruption of this name.
    """
    other = describe(one.name).module if one.name in known() else one.module
    if other != one.module and one.name in (*_DESCRIBED, *(name for name in REGISTERED if is_projects(name))):
        raise CorruptionError(f"{one.module}: the corruption {one.name!r} is registered by {other} already.")
    _DESCRIBED[one.name] = one


def is_projects(name: str) -> bool:
    """Whether a registered corruption is one of the project's."""
    return name in REGISTERED and REGISTERED[name].apply.__module__.startswith(f"{__package__}.operators.")


def describe_own(module: str) -> dict[str, dict[str, Any]]:
    """Return, by name and as JSON holds it, what importing a user's module registered; those described before keep their module."""
    own = [name for name in REGISTERED if not is_projects(name)]
    return {name: vars(describe(name)) | ({} if name in _DESCRIBED else {"module": module}) for name in own}
