"""What a corruption is, and the one place where they are known by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corruptions.randomness import Randomness

Image = NDArray[np.uint8]
Mask = NDArray[np.uint8]


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


REGISTERED: dict[str, Corruption] = {}


def register_corruption(
    name: str,
    category: str,
    prepare: Callable[[Image, Randomness], Any] = _nothing,
    move: Callable[[Mask, int, Any], Mask] | None = None,
) -> Callable[[Callable[..., Image]], Callable[..., Image]]:
    """Make a function (image, severity, prepared, **parameters) -> image known as a corruption; see `Corruption`."""

    def register(apply: Callable[..., Image]) -> Callable[..., Image]:
        if name in REGISTERED:
            raise ValueError(f"there are two corruptions named {name!r}.")
        REGISTERED[name] = Corruption(name, category, apply, prepare, move)
        return apply

    return register
