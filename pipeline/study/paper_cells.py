"""Which cells of a study stand in the tables and figures that compare with the paper."""

from __future__ import annotations

from pipeline.datasets.kinds import BY_SEQUENCE
from pipeline.study.cell import Cell
from pipeline.study.cells import cells_of
from pipeline.study.datasets import kind_name, leakage_datasets, split_rule
from pipeline.study.models import Study

# The rows of the paper's Table V, by backbone and architecture.
ABLATION = (
    ("resnet", "mmoe"),
    ("dinov2", "mmoe"),
    ("resnet", "tesla"),
    ("dinov2", "tesla"),
    ("endoarss", "mmoe"),
    ("endoarss", "tesla"),
)


def ablation_cells(study: Study, dataset: str) -> dict[tuple[str, str], Cell]:
    """Return the cells of Table V by backbone and architecture: of one dataset, under DB-MTL, of the first seed; empty unless the study
    has all six."""
    chosen = {
        (cell.backbone, cell.architecture): cell
        for cell in reversed(cells_of(study))
        if cell.dataset == dataset and cell.weighting == "db_mtl" and cell.rank == study.lora.rank
    }
    return {pair: chosen[pair] for pair in ABLATION} if set(ABLATION) <= set(chosen) else {}


def cells_by_rank(study: Study, dataset: str) -> dict[int, Cell]:
    """Return the cells of Table VI by rank: of one dataset, of the first seed, equal in all else; empty where there is one rank."""
    cells = [cell for cell in cells_of(study) if cell.dataset == dataset]
    models = {(c.backbone, c.architecture, c.weighting) for c in cells if c.rank != study.lora.rank}
    for model in sorted(models):
        chosen = {c.rank: c for c in reversed(cells) if (c.backbone, c.architecture, c.weighting) == model}
        if len(chosen) > 1:
            return dict(sorted(chosen.items()))
    return {}


def task_pairs(study: Study) -> tuple[tuple[Cell, tuple[Cell, ...]], ...]:
    """Return each segmentation-only cell of the first seed with the multi-task cells of its dataset and backbone, where there are any;
    DINOv2 and MTLESD first, as in the paper's figure 2."""
    cells = [cell for cell in cells_of(study) if (cell.rank, cell.seed) == (study.lora.rank, study.seeds[0])]
    pairs = []
    for single in (cell for cell in cells if cell.architecture == "single_segmentation"):
        others = tuple(
            cell
            for cell in cells
            if (cell.dataset, cell.backbone) == (single.dataset, single.backbone)
            and not cell.architecture.startswith("single_")
        )
        if others:
            pairs.append((single, others))
    return tuple(sorted(pairs, key=lambda pair: (pair[0].backbone != "dinov2", pair[0].dataset != "mtlesd")))


def leakage_pairs(study: Study) -> tuple[tuple[Cell, Cell], ...]:
    """Return pairs of the same training on the published split and by sequence."""
    cells, leaking = cells_of(study), leakage_datasets(study)
    by_sequence = {
        (kind_name(study, cell.dataset), *cell.model): cell
        for cell in cells
        if split_rule(study, cell.dataset) == BY_SEQUENCE
    }
    pairs = ((cell, by_sequence.get((kind_name(study, cell.dataset), *cell.model))) for cell in cells)
    return tuple((cell, other) for cell, other in pairs if other is not None and cell.dataset in leaking)
