"""Select the cells of tables and figures that follow the paper, and find the paper's names for a study's models."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pipeline.datasets.kinds import BY_SEQUENCE
from pipeline.study.cell import Cell
from pipeline.study.cells import cells_of, trainings_of
from pipeline.study.datasets import kind_name, leakage_datasets, split_rule
from pipeline.study.folders import pretrained_file, weights_file
from pipeline.study.models import Study
from pipeline.study.variants import architecture_kind, backbone_kind, weighting_kind

# The rows of the paper's Table V, by backbone and architecture.
ABLATION = (
    ("resnet", "mmoe"),
    ("dinov2", "mmoe"),
    ("resnet", "tesla"),
    ("dinov2", "tesla"),
    ("endoarss", "mmoe"),
    ("endoarss", "tesla"),
)
# The paper's backbones by kind: their names in the paper, and their timm models.
_BACKBONES = {
    "resnet": ("ResNet101", "resnet101"),
    "dinov2": ("DINOv2", "vit_base_patch14_dinov2"),
    "endoarss": ("EndoARSS", "vit_base_patch14_dinov2"),
}
PaperModel = tuple[str, str, str]


class PaperNames:
    """The paper's names for the models of a study: backbone, architecture and weighting by kind.

    If a study has several variants of a kind, one represents the paper's: the one named like the kind, or else the first. The others
    keep their own names, which the paper does not have.
    """

    def __init__(self, study: Study) -> None:
        cells = trainings_of(study)
        self.backbones = _by_kind(study.backbones, lambda name: backbone_kind(study, name))
        self.architectures = _by_kind((c.architecture for c in cells), lambda name: architecture_kind(study, name))
        self.weightings = _by_kind((c.weighting for c in cells), lambda name: weighting_kind(study, name))

    def of(self, cell: Cell) -> PaperModel:
        """Return the paper's names for backbone, architecture and weighting of a cell, or the study's names where the paper has none."""
        return (
            self.backbones.get(cell.backbone, cell.backbone),
            self.architectures.get(cell.architecture, cell.architecture),
            self.weightings.get(cell.weighting, cell.weighting),
        )

    def ranked(self, cell: Cell) -> tuple[str, int, str] | None:
        """Return dataset, rank and weighting of a cell if it is TESLA on EndoARSS, whose ranks Table VI compares; otherwise None."""
        backbone, architecture, weighting = self.of(cell)
        return (cell.dataset, cell.rank, weighting) if (backbone, architecture) == ("endoarss", "tesla") else None


def _by_kind(used: Iterable[str], kind_of: Callable[[str], str]) -> dict[str, str]:
    """Return the kind of each name that represents a kind. Other names are left out."""
    representative: dict[str, str] = {}
    for name in dict.fromkeys(used):
        kind = kind_of(name)
        if name == kind or kind not in representative:
            representative[kind] = name
    return {name: kind for kind, name in representative.items()}


def stand_ins(study: Study, kinds: Iterable[str] = tuple(_BACKBONES)) -> str:
    """Return a sentence that names the study's backbones that stand for other models of the paper, or "" if there are none.

    Args:
        study: the study.
        kinds: the paper's backbones that a table has.
    """
    used = {cell.backbone for cell in trainings_of(study)}
    by_kind = {kind: name for name, kind in PaperNames(study).backbones.items() if name in used}
    found = []
    for kind in kinds:
        own, (in_paper, model) = by_kind.get(kind), _BACKBONES[kind]
        if own is None:
            continue
        given, file = study.backbones[own], weights_file(study, own)
        if given.model.partition(".")[0] != model or given.arguments:
            found.append(f"{given.label} stands for the paper's {in_paper}")
        elif given.weights == "none" or (file is not None and file == pretrained_file(study)):
            weights = f"with the weights {file}" if file else "without pretrained weights"
            found.append(f"{given.label} {weights} stands for the paper's {in_paper}")
    return f"{'; '.join(found)}." if found else ""


def ablation_cells(study: Study, dataset: str) -> dict[tuple[str, str], Cell]:
    """Return the cells of Table V by the paper's backbone and architecture: one dataset, DB-MTL, and the study's rank and first seed.

    The result is empty if the study lacks one of the six cells.
    """
    names, ablation = PaperNames(study), {}
    for cell in reversed(cells_of(study)):  # reversed, so that the cell of the first seed stays
        backbone, architecture, weighting = names.of(cell)
        if cell.dataset == dataset and weighting == "db_mtl" and cell.rank == study.lora.rank:
            ablation[backbone, architecture] = cell
    return {pair: ablation[pair] for pair in ABLATION} if set(ABLATION) <= set(ablation) else {}


def cells_by_rank(study: Study, dataset: str) -> list[dict[int, Cell]]:
    """Return the models of Table VI: for each model that has several ranks on a dataset, its cells of the first seed by rank."""
    by_model: dict[PaperModel, dict[int, Cell]] = {}
    for cell in reversed(cells_of(study)):  # reversed, so that the cell of the first seed stays
        if cell.dataset == dataset:
            by_model.setdefault((cell.backbone, cell.architecture, cell.weighting), {})[cell.rank] = cell
    return [dict(sorted(by_model[model].items())) for model in sorted(by_model) if len(by_model[model]) > 1]


def task_pairs(study: Study) -> tuple[tuple[Cell, tuple[Cell, ...]], ...]:
    """Return each segmentation-only cell of the first seed with the multi-task cells of its dataset and backbone.

    DINOv2 and MTLESD come first, as in the paper's figure 2.
    """
    cells = [cell for cell in cells_of(study) if (cell.rank, cell.seed) == (study.lora.rank, study.seeds[0])]
    pairs = []
    for single in (cell for cell in cells if cell.architecture == "single_segmentation"):
        multi_task = tuple(
            cell
            for cell in cells
            if (cell.dataset, cell.backbone) == (single.dataset, single.backbone)
            and not cell.architecture.startswith("single_")
        )
        if multi_task:
            pairs.append((single, multi_task))
    names = PaperNames(study)
    return tuple(sorted(pairs, key=lambda pair: (names.of(pair[0])[0] != "dinov2", pair[0].dataset != "mtlesd")))


def leakage_pairs(study: Study) -> tuple[tuple[Cell, Cell], ...]:
    """Return pairs of trainings that differ only in the split: at random, and by sequence."""
    cells, leaking = cells_of(study), leakage_datasets(study)
    by_sequence = {
        (kind_name(study, cell.dataset), *cell.model): cell
        for cell in cells
        if split_rule(study, cell.dataset) == BY_SEQUENCE
    }
    pairs = ((cell, by_sequence.get((kind_name(study, cell.dataset), *cell.model))) for cell in cells)
    return tuple((cell, other) for cell, other in pairs if other is not None and cell.dataset in leaking)
