"""The names of the corruptions by category: the standard nineteen in the order of the paper's Table VII, others after them."""

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
"""The nineteen corruptions of the paper. A new file changes neither this nor a study that names `standard` or a category of it."""
STANDARD_CORRUPTIONS: tuple[str, ...] = tuple(name for names in STANDARD_CATEGORIES.values() for name in names)
SEVERITIES: tuple[int, ...] = (1, 2, 3, 4, 5)

for _module in iter_modules(operators.__path__):
    import_module(f"{operators.__name__}.{_module.name}")


def known_categories() -> dict[str, tuple[str, ...]]:
    """Return all corruptions by category, those of a user's modules that were added too."""
    others = sorted(set(known()) - set(STANDARD_CORRUPTIONS))
    found = dict(STANDARD_CATEGORIES)
    for name in others:
        category = describe(name).category
        found[category] = (*found.get(category, ()), name)
    return found


def known_corruptions() -> tuple[str, ...]:
    """Return the names of all corruptions in the order of `known_categories`."""
    return tuple(name for names in known_categories().values() for name in names)


def selected_corruptions(given: Iterable[str]) -> tuple[str, ...]:
    """Return the corruptions that a list names, each once, in the list's order.

    Args:
        given: names, or `standard` or one of its categories for those of the nineteen. Others are chosen by their own names alone, so
            that a new file changes no list.

    Raises:
        UnknownNameError: if one of them is neither.
    """
    groups = {STANDARD: STANDARD_CORRUPTIONS, **STANDARD_CATEGORIES}
    found: dict[str, None] = {}
    for one in given:
        if one not in groups and one not in known():
            raise UnknownNameError("corruption", one, [*known_corruptions(), *groups])
        found |= dict.fromkeys(groups.get(one, (one,)))
    return tuple(found)


CATEGORIES: dict[str, tuple[str, ...]] = known_categories()
"""The project's corruptions by category."""
CORRUPTIONS: tuple[str, ...] = known_corruptions()
"""The project's corruptions."""
