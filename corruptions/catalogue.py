"""The names of the corruptions by category: the nineteen of the paper in the order of its Table VII, then all others."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pkgutil import iter_modules

from corruptions import operators
from corruptions.errors import UnknownNameError
from corruptions.registry import STANDARD, describe, known

STANDARD_CATEGORIES: dict[str, tuple[str, ...]] = {
    "noise": ("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise"),
    "blur": ("defocus_blur", "gaussian_blur", "glass_blur", "motion_blur", "zoom_blur"),
    "occlusion": ("bleeding", "brightness", "smoke", "spatter"),
    "digital": ("contrast", "elastic_transform", "gamma_correction", "jpeg_compression", "pixelate", "saturate"),
}
"""The nineteen corruptions of the paper. A new corruption changes neither this nor a study that names `standard` or a category."""
STANDARD_CORRUPTIONS: tuple[str, ...] = tuple(name for names in STANDARD_CATEGORIES.values() for name in names)
SEVERITIES: tuple[int, ...] = (1, 2, 3, 4, 5)

for _module in iter_modules(operators.__path__):
    import_module(f"{operators.__name__}.{_module.name}")


def known_categories() -> dict[str, tuple[str, ...]]:
    """Return the names of all corruptions by category, including those that a user's modules registered.

    Returns:
        The names of each category; the paper's nineteen come first, the others in alphabetical order.
    """
    others = sorted(set(known()) - set(STANDARD_CORRUPTIONS))
    categories = dict(STANDARD_CATEGORIES)
    for name in others:
        category = describe(name).category
        categories[category] = (*categories.get(category, ()), name)
    return categories


def known_corruptions() -> tuple[str, ...]:
    """Return the names of all corruptions.

    Returns:
        The names, in the order of `known_categories`.
    """
    return tuple(name for names in known_categories().values() for name in names)


def selected_corruptions(given: Iterable[str]) -> tuple[str, ...]:
    """Return the corruptions that a list selects, each once, in the list's order.

    Args:
        given: names of corruptions, `standard`, or a category of the paper's corruptions. `standard` and the categories stand for the
            paper's nineteen only; other corruptions must be listed by name, so that a new corruption does not change what an existing list
            means.

    Returns:
        The names.

    Raises:
        CorruptionError: if an entry is neither a corruption, nor `standard`, nor a category of the paper's corruptions.
    """
    groups = {STANDARD: STANDARD_CORRUPTIONS, **STANDARD_CATEGORIES}
    selected: dict[str, None] = {}
    for name in given:
        if name not in groups and name not in known():
            raise UnknownNameError("corruption", name, [*known_corruptions(), *groups])
        selected |= dict.fromkeys(groups.get(name, (name,)))
    return tuple(selected)


CATEGORIES: dict[str, tuple[str, ...]] = known_categories()
"""The names of the project's corruptions by category."""
CORRUPTIONS: tuple[str, ...] = known_corruptions()
"""The names of the project's corruptions."""
