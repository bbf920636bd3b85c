"""Variants: the names that a study gives to its backbones, architectures and weightings. Each has a registered kind."""

from __future__ import annotations

from typing import Any

from pipeline.study.cell import Cell
from pipeline.study.models import Study


def backbone_kind(study: Study, name: str) -> str:
    """Return the registered kind of one of the study's backbones."""
    given = study.backbones.get(name)
    return given.kind or name if given else name


def has_sma(study: Study, name: str) -> bool:
    """Return whether one of the study's backbones has SMA before it."""
    return bool(study.backbones[name].sma) or backbone_kind(study, name) == "endoarss"


def architecture_kind(study: Study, name: str) -> str:
    """Return the registered kind of an architecture. A name without settings in the study is a kind itself."""
    given = study.architectures.get(name)
    return given.kind or name if given else name


def weighting_kind(study: Study, name: str) -> str:
    """Return the registered kind of a weighting. A name without settings in the study is a kind itself."""
    given = study.weightings.get(name)
    return given.kind or name if given else name


def kinds_of(study: Study, cell: Cell) -> tuple[str, str, str]:
    """Return the kinds of a training's backbone, architecture and weighting; for a merged model, the merger is last."""
    last = cell.weighting if cell.merger else weighting_kind(study, cell.weighting)
    return backbone_kind(study, cell.backbone), architecture_kind(study, cell.architecture), last


def architecture_settings(study: Study, name: str) -> dict[str, Any]:
    """Return the settings that the study gives to one of its architectures."""
    given = study.architectures.get(name)
    return given.settings if given else {}


def weighting_settings(study: Study, name: str) -> dict[str, Any]:
    """Return the settings that the study gives to one of its weightings."""
    given = study.weightings.get(name)
    return given.settings if given else {}
