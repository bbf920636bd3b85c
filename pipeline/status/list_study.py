"""What `endoarss list` says: the components that there are, and the cells of a study."""

from __future__ import annotations

from endoarss.registry import list_architectures, list_backbones, list_mergers, list_weightings
from pipeline.study.cell import MERGED
from pipeline.study.cells import merged_cells, trainings_of
from pipeline.study.models import Study
from pipeline.study.robust_models import robust_models


def list_study(study: Study) -> str:
    """Return one line per kind of component and one per cell; cells whose robustness the study asks for say so."""
    architectures = [name for name in list_architectures() if name != MERGED]
    lines = [
        f"backbones: {', '.join(list_backbones())}",
        f"architectures: {', '.join(architectures)}",
        f"weightings: {', '.join(list_weightings())}",
        f"mergers: {', '.join(list_mergers())}",
    ]
    robust = set(robust_models(study))
    for title, cells in (("cells", trainings_of(study)), ("merged models", merged_cells(study))):
        if cells:
            lines.append(f"{title} of study {study.name} ({len(cells)}):")
        lines += [f"  {cell.id}{'  + robustness' if cell in robust else ''}" for cell in cells]
    return "\n".join(lines)
