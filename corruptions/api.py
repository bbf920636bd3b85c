"""`corrupt` and `corrupt_pair`: the functions people call."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from corruptions.bleeding import bleeding
from corruptions.catalogue import CORRUPTIONS, SEVERITIES
from corruptions.errors import CorruptionError
from corruptions.gamma import gamma_correction
from corruptions.randomness import generator_of
from corruptions.reference import reference_corrupt
from corruptions.smoke import smoke

_FAST: dict[str, Callable[..., np.ndarray]] = {
    "smoke": smoke,
    "bleeding": bleeding,
    "gamma_correction": gamma_correction,
}
_BACKENDS = ("auto", "fast", "reference")
_PROFILES = ("standard",)
_SMALLEST = 32
_MOVING = ("elastic_transform",)


def backend_of(name: str, backend: str = "auto") -> str:
    """Which backend runs a corruption: "fast" where it is implemented here, else "reference".

    Raises:
        CorruptionError: if the name or the backend is unknown, or the backend does not have the corruption.
    """
    if name not in CORRUPTIONS:
        raise CorruptionError(f"unknown corruption {name!r}; known: {', '.join(CORRUPTIONS)}.")
    if backend not in _BACKENDS:
        raise CorruptionError(f"unknown backend {backend!r}; known: {', '.join(_BACKENDS)}.")
    only = "fast" if name in _FAST else "reference"
    if backend not in ("auto", only):
        raise CorruptionError(f"{name}: the backend {backend!r} does not have it; use {only!r} or 'auto'.")
    return only


def moves_pixels(name: str) -> bool:
    """Whether a corruption moves pixels, so that a mask must move along to stay true."""
    return name in _MOVING


def corrupt(
    image: np.ndarray,
    name: str,
    severity: int,
    *,
    seed: int = 0,
    image_id: str = "",
    profile: str = "standard",
    backend: str = "auto",
    **parameters: Any,
) -> np.ndarray:
    """Corrupt an image at the size it has.

    A function of its arguments alone: any order, thread and process gives the same bytes, and no generator of the caller's
    is touched.

    Args:
        image: uint8 RGB (H, W, 3), at least 32 pixels a side. It is not changed.
        name: one of `CORRUPTIONS`. severity: 1 to 5.
        seed, image_id: what random details depend on; all severities of one image share them.
        profile: "standard". backend: "auto", "fast" or "reference"; see `backend_of`.
        parameters: of one corruption: mean_transmission (smoke), coverage (bleeding), direction (gamma_correction).

    Returns:
        uint8 (H, W, 3).

    Raises:
        CorruptionError: saying what was given and what is expected.
    """
    _check(image, severity, profile)
    if backend_of(name, backend) == "reference":
        if parameters:
            raise CorruptionError(f"{name}: takes no parameter, got {', '.join(parameters)}.")
        return reference_corrupt(image, name, int(severity), seed, image_id)
    operator = _FAST[name]
    known = list(inspect.signature(operator).parameters)[3:]  # after image, severity and generator
    unknown = set(parameters) - set(known)
    if unknown:
        raise CorruptionError(f"{name}: unknown parameter {sorted(unknown)[0]!r}; known: {', '.join(known)}.")
    return operator(image, int(severity), generator_of(seed, name, image_id), **parameters)


def corrupt_pair(
    image: np.ndarray, mask: np.ndarray, name: str, severity: int, **arguments: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Corrupt an image and move its mask along where the corruption moves pixels.

    Args:
        image: as for `corrupt`. mask: uint8 (H, W) of class ids. arguments: as for `corrupt`.

    Returns:
        The corrupted image, and the mask (H, W) that belongs to it (the given one where nothing moves).

    Raises:
        CorruptionError: as `corrupt`, and if the mask does not fit the image.
    """
    if mask.ndim != 2 or mask.dtype != np.uint8 or mask.shape != image.shape[:2]:
        raise CorruptionError(
            f"mask of shape {mask.shape} and type {mask.dtype}; expected uint8 {image.shape[:2]}, as the image has."
        )
    corrupted = corrupt(image, name, severity, **arguments)
    return corrupted, _moved_mask(mask, name, severity, **arguments) if moves_pixels(name) else mask


def _moved_mask(mask: np.ndarray, name: str, severity: int, **arguments: Any) -> np.ndarray:
    """Move every class's indicator by the image's own field (it depends on size and seed alone); the largest wins."""
    ids = np.unique(mask)
    indicators = [np.where(mask == value, 255, 0).astype(np.uint8) for value in ids]
    moved = []
    for start in range(0, len(indicators), 3):
        group = indicators[start : start + 3]
        planes = np.stack([*group, *[np.zeros_like(mask)] * (3 - len(group))], axis=2)
        moved.append(corrupt(planes, name, severity, **arguments)[..., : len(group)])
    return ids[np.concatenate(moved, axis=2).argmax(axis=2)].astype(np.uint8)


def _check(image: np.ndarray, severity: int, profile: str) -> None:
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        given = getattr(image, "dtype", type(image).__name__)
        raise CorruptionError(f"image of type {given}; expected a numpy array of uint8, values 0 to 255.")
    if image.ndim != 3 or image.shape[2] != 3:
        raise CorruptionError(f"image of shape {image.shape}; expected RGB (height, width, 3).")
    if min(image.shape[:2]) < _SMALLEST:
        raise CorruptionError(
            f"image of {image.shape[1]}x{image.shape[0]} pixels; expected at least {_SMALLEST} a side."
        )
    if isinstance(severity, bool) or severity not in SEVERITIES:
        raise CorruptionError(f"severity {severity!r}; expected a whole number from 1 to 5.")
    if profile not in _PROFILES:
        raise CorruptionError(f"unknown profile {profile!r}; known: {', '.join(_PROFILES)}.")
