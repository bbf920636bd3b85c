"""Return the labels of a study's models in tables and figures."""

from __future__ import annotations

from pipeline.study.models import Study, Variant
from reports.names import ARCHITECTURES, WEIGHTINGS, Labels


def model_labels(study: Study) -> Labels:
    """Return the labels of backbones, architectures and weightings by name, with the backbones in the study's order."""
    return Labels(
        {name: backbone.label for name, backbone in study.backbones.items()},
        {
            **ARCHITECTURES,
            **{name: _label(name, variant, ARCHITECTURES) for name, variant in study.architectures.items()},
        },
        {**WEIGHTINGS, **{name: _label(name, variant, WEIGHTINGS) for name, variant in study.weightings.items()}},
    )


def _label(name: str, variant: Variant, known: dict[str, str]) -> str:
    return variant.label or known.get(name, name)
