"""Find the registered kind and the settings of a study's variants, which are its backbones, architectures and weightings."""

from __future__ import annotations

import re
from typing import Any

from pipeline.study.cell import Cell
from pipeline.study.models import Backbone, Study


def backbone_kind(study: Study, name: str) -> str:
    """Return the registered kind of one of the study's backbones."""
    variant = study.backbones.get(name)
    return variant.kind or name if variant else name


def has_sma(study: Study, name: str) -> bool:
    """Return whether one of the study's backbones has SMA in front of it."""
    return bool(study.backbones[name].sma) or backbone_kind(study, name) == "endoarss"


def patch_of(backbone: Backbone) -> int | None:
    """Return the patch size in the name of a timm ViT, or None. The name of a Swin transformer, which has a window, gives None."""
    match = re.search(r"patch(\d+)(?!.*window)", backbone.model)
    return int(match[1]) if match else None


def is_vit(study: Study, name: str) -> bool:
    """Return whether a backbone is a vision transformer, by its kind or by the name of its model."""
    return (
        backbone_kind(study, name) in ("dinov2", "endoarss", "timm_vit") or patch_of(study.backbones[name]) is not None
    )


def has_adapters(study: Study, backbone: str, architecture: str) -> bool:
    """Return whether models of a backbone and an architecture have low-rank adapters.

    Pretrained ViTs have them under every architecture, and other backbones under TESLA and with task adapters.
    """
    if is_vit(study, backbone):
        return study.backbones[backbone].weights != "none"
    return architecture_kind(study, architecture) in ("tesla", "task_adapters")


def architecture_kind(study: Study, name: str) -> str:
    """Return the registered kind of an architecture. If the study has no settings under this name, the name itself is the kind."""
    variant = study.architectures.get(name)
    return variant.kind or name if variant else name


def weighting_kind(study: Study, name: str) -> str:
    """Return the registered kind of a weighting. If the study has no settings under this name, the name itself is the kind."""
    variant = study.weightings.get(name)
    return variant.kind or name if variant else name


def kinds_of(study: Study, cell: Cell) -> tuple[str, str, str]:
    """Return the kinds of a cell's backbone, architecture and weighting; for a merged model, the merger replaces the weighting."""
    weighting = cell.weighting if cell.merger else weighting_kind(study, cell.weighting)
    return backbone_kind(study, cell.backbone), architecture_kind(study, cell.architecture), weighting


def architecture_settings(study: Study, name: str) -> dict[str, Any]:
    """Return the settings that the study gives to one of its architectures."""
    variant = study.architectures.get(name)
    return variant.settings if variant else {}


def weighting_settings(study: Study, name: str) -> dict[str, Any]:
    """Return the settings that the study gives to one of its weightings."""
    variant = study.weightings.get(name)
    return variant.settings if variant else {}
