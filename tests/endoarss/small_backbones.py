"""Small sizes of backbones that are trained in full, for the registry-wide tests."""

from __future__ import annotations

from importlib import import_module

from endoarss.registry import BACKBONES
from endoarss.settings import BackboneSettings

_SMALL = {
    "resnet": BackboneSettings("resnet26", {"channels": (8, 8, 12, 16)}),
    "timm_features": BackboneSettings("convnext_atto", {"depths": (1, 1, 1, 1), "dims": (8, 8, 12, 16)}),
}


def small_settings(backbone: str) -> BackboneSettings | None:
    """Return the size that tests build a backbone in: `SMALL` of its file, if the file says one. None for the project's ViTs."""
    if backbone in _SMALL or backbone not in BACKBONES.names():
        return _SMALL.get(backbone)
    return getattr(import_module(BACKBONES.module(backbone)), "SMALL", None)
