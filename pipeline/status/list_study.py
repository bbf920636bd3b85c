"""Write the output of `endoarss list`: the components, and the variants and cells of a study."""

from __future__ import annotations

from collections.abc import Iterator

import yaml

from endoarss.components.user_modules import short_path
from endoarss.registry import REGISTRIES, Registry
from pipeline.study.cell import MERGED
from pipeline.study.cells import merged_cells, trainings_of
from pipeline.study.models import Study
from pipeline.study.robust_models import robust_models


def list_study(study: Study) -> str:
    """Return one line per component with its source file, per variant of the study, and per cell.

    Cells with a robustness evaluation are marked.
    """
    lines = [line for key, registry in REGISTRIES.items() for line in _components(key, registry)]
    variants = list(_variants(study))
    if variants:
        lines += [f"variants of study {study.name}:", *variants]
    robust = set(robust_models(study))
    for title, cells in (("cells", trainings_of(study)), ("merged models", merged_cells(study))):
        if cells:
            lines.append(f"{title} of study {study.name} ({len(cells)}):")
        lines += [f"  {cell.id}{'  + robustness' if cell in robust else ''}" for cell in cells]
    return "\n".join(lines)


def _components(key: str, registry: Registry) -> Iterator[str]:
    yield f"{key}:"
    for name in registry.names():
        path = registry.describe(name).path
        if name != MERGED:
            yield f"  {name:20}  {short_path(path) if path else ''}".rstrip()


def _variants(study: Study) -> Iterator[str]:
    for name, backbone in study.backbones.items():
        if backbone.kind not in (None, name):
            yield f"  backbones.{name}: {backbone.kind}, {backbone.model}"
    for key, variants in (("architectures", study.architectures), ("weightings", study.weightings)):
        for name, variant in variants.items():
            if variant.kind not in (None, name):
                settings = yaml.safe_dump(
                    variant.settings, default_flow_style=True, width=1000, sort_keys=False
                ).strip()
                yield f"  {key}.{name}: {variant.kind} {settings}"
