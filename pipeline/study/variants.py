"""Find the registered kind and the settings of a study's variants, which are its backbones, architectures and weightings."""

from __future__ import annotations

from typing import Any

from pipeline.study.cell import Cell
from pipeline.study.models import Study


def backbone_kind(study: Study, name: str) -> str:
    """Return the registered kind of one of the study's backbones."""
    variant = study.backbones.get(name)
    return variant.kind or name if variant else name


def has_sma(study: Study, name: str) -> bool:
    """Return whether one of the study's backbones has SMA in front of it."""
    return bool(study.backbones[name].sma) or backbone_kind(study, name) == "endoarss"


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
