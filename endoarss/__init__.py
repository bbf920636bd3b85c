"""Multi-task models for endoscopic surgery: activity recognition and semantic segmentation.

Importing this package imports no torch; the names below load it when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from endoarss.missing_packages import how_to_install
from endoarss.registry import list_architectures, list_backbones, list_mergers, list_weightings

if TYPE_CHECKING:
    from endoarss.checkpoints import load_checkpoint
    from endoarss.models import build_model

__version__ = "0.1.0"
__all__ = ["build_model", "list_architectures", "list_backbones", "list_mergers", "list_weightings", "load_checkpoint"]


def __getattr__(name: str) -> Any:
    try:
        if name == "build_model":
            from endoarss.models import build_model

            return build_model
        if name == "load_checkpoint":
            from endoarss.checkpoints import load_checkpoint

            return load_checkpoint
    except ModuleNotFoundError as error:
        if needed := how_to_install(error, f"endoarss.{name}", "train"):
            raise ModuleNotFoundError(needed, name=error.name) from None
        raise
    raise AttributeError(f"module 'endoarss' has no attribute {name!r}")
