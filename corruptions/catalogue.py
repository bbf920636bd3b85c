"""The names of the corruptions by category, in the order of the paper's Table VII; others follow in their category."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from corruptions import operators
from corruptions.registry import REGISTERED

_ORDER = (
    *("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise"),
    *("defocus_blur", "gaussian_blur", "glass_blur", "motion_blur", "zoom_blur"),
    *("bleeding", "brightness", "smoke", "spatter"),
    *("contrast", "elastic_transform", "gamma_correction", "jpeg_compression", "pixelate", "saturate"),
)
_CATEGORIES = ("noise", "blur", "occlusion", "digital")

for _module in iter_modules(operators.__path__):
    import_module(f"{operators.__name__}.{_module.name}")


def _by_category() -> dict[str, tuple[str, ...]]:
    names = sorted(REGISTERED, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))
    categories = dict.fromkeys((*_CATEGORIES, *(REGISTERED[name].category for name in names)))
    return {category: tuple(name for name in names if REGISTERED[name].category == category) for category in categories}


CATEGORIES: dict[str, tuple[str, ...]] = _by_category()
CORRUPTIONS: tuple[str, ...] = tuple(name for names in CATEGORIES.values() for name in names)
SEVERITIES: tuple[int, ...] = (1, 2, 3, 4, 5)
