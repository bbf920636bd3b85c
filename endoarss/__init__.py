"""Multi-task models for endoscopic surgery: activity recognition and semantic segmentation.

Importing this package imports no torch; the names below load it when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from endoarss.missing_packages import how_to_install
from endoarss.registry import list_architectures, list_backbones, list_mergers, list_weightings

if TYPE_CHECKING:
    from endoarss.checkpoints import load_checkpoint
    from endoarss.inference.predictor import load_predictor
    from endoarss.models import build_model

__version__ = "0.1.0"
__all__ = ["list_architectures", "list_backbones", "list_mergers", "list_weightings"]
# These need torch. Where it is not installed, `from endoarss import *` gives the others.
_WITH_TORCH = {
    "build_model": "endoarss.models",
    "load_checkpoint": "endoarss.checkpoints",
    "load_predictor": "endoarss.inference.predictor",
}
if find_spec("torch"):
    __all__ += ["build_model", "load_checkpoint", "load_predictor"]


def __getattr__(name: str) -> Any:
    if name not in _WITH_TORCH:
        raise AttributeError(f"module 'endoarss' has no attribute {name!r}")
    try:
        return getattr(import_module(_WITH_TORCH[name]), name)
    except ModuleNotFoundError as error:
        if needed := how_to_install(error, f"endoarss.{name}", "train"):
            raise ModuleNotFoundError(needed, name=error.name) from None
        raise


def __dir__() -> list[str]:
    """Return the public names, including those that are not imported yet."""
    return sorted({*__all__, *_WITH_TORCH, "__version__"})
