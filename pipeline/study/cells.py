"""Compute the cells of a study: its trainings and merged models. No other module decides which cells a study has."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from endoarss.errors import suggestion
from endoarss.registry import list_mergers
from pipeline.errors import InputError
from pipeline.study.cell import MERGED, SINGLE_TASKS, Cell, MergingGroup
from pipeline.study.models import Merging, Schedule, Study

_SUGGESTED = 5  # number of cells in the message about an unknown cell


def trainings_of(study: Study) -> tuple[Cell, ...]:
    """Return all trainings, each once, in the order of the study."""
    cells: dict[Cell, None] = {}
    for block in study.cell_blocks:
        select_on = block.select_on or study.training.select_on
        kinds = block.datasets, block.backbones, block.architectures, block.weightings
        ranks = block.ranks or (study.lora.rank,)
        for dataset, backbone, architecture, weighting, rank, seed in product(*kinds, ranks, study.seeds):
            cells[Cell(dataset, backbone, architecture, weighting, rank, seed, select_on)] = None
    return tuple(cells)


def cells_of(study: Study) -> tuple[Cell, ...]:
    """Return the trainings that tables compare: those whose `select_on` equals `training.select_on` of the study."""
    return tuple(cell for cell in trainings_of(study) if cell.select_on == study.training.select_on)


def models_of(study: Study) -> tuple[Cell, ...]:
    """Return all trained and merged models."""
    return (*trainings_of(study), *merged_cells(study))


def find_cell(study: Study, cell_id: str) -> Cell:
    """Return the cell with this id.

    A model that was merged by hand is found too, if the study has its single-task models.

    Raises:
        InputError: if the study has no such cell; the message suggests ids.
    """
    models = {cell.id: cell for cell in models_of(study)}
    if cell_id in models:
        return models[cell_id]
    # The study does not list the merger or the rank of Surgery of a model that was merged by hand.
    cell = Cell.parse(cell_id)
    if cell is not None and cell.merger in list_mergers():
        for single in trainings_of(study):
            source = replace(
                cell, architecture=single.architecture, weighting=single.weighting, surgery=0, on_test=False
            )
            if single.architecture in SINGLE_TASKS and single == source:
                return cell
    close = suggestion(cell_id, models, _SUGGESTED) or f" Its first cells: {', '.join(list(models)[:_SUGGESTED])}."
    raise InputError(
        f"study {study.name!r} has no cell {cell_id!r}.{close} `endoarss list` shows all {len(models)}; an id is "
        "dataset/backbone/architecture/weighting/variant."
    )


def schedule_key(study: Study, dataset: str, backbone: str, architecture: str) -> str:
    """Return the longest key of `training.schedules` that matches a training, or an empty text if no key matches."""
    keys = (f"{dataset}/{backbone}/{architecture}", f"{dataset}/{backbone}", dataset)
    return next((key for key in keys if key in study.training.schedules), "")


def schedule_of(study: Study, cell: Cell) -> Schedule:
    """Return epochs and learning rate of a training."""
    return study.training.schedules[schedule_key(study, cell.dataset, cell.backbone, cell.architecture)]


def segments(study: Study) -> bool:
    """Return whether any cell predicts masks."""
    return any(cell.architecture != "single_activity" for cell in cells_of(study))


def merging_of(study: Study) -> Merging:
    """Return the merging settings of the study, or the defaults; without a list of mergers, all known ones are filled in."""
    merging = study.merging or Merging()
    return merging if merging.mergers else merging.model_copy(update={"mergers": list_mergers()})


def merging_groups(study: Study) -> tuple[MergingGroup, ...]:
    """Return a merging group for each dataset, backbone, rank and seed whose two single-task trainings have `select_on: val`."""
    if study.merging is None:
        return ()
    validated = [cell for cell in trainings_of(study) if cell.select_on == "val"]
    by_origin: dict[tuple[object, ...], list[Cell]] = {}
    for cell in validated:
        by_origin.setdefault((cell.dataset, cell.backbone, cell.rank, cell.seed), []).append(cell)
    groups = []
    for cells in by_origin.values():
        by_task = {cell.architecture: cell for cell in cells if cell.architecture in SINGLE_TASKS}
        if len(by_task) == len(SINGLE_TASKS):
            singles = tuple(by_task[name] for name in SINGLE_TASKS)
            joint = tuple(cell for cell in cells if cell.architecture not in SINGLE_TASKS)
            groups.append(MergingGroup(singles, _merged_from(study, singles[0]), joint))
    return tuple(groups)


def merged_cells(study: Study) -> tuple[Cell, ...]:
    """Return all merged models."""
    return tuple(cell for group in merging_groups(study) for cell in group.merged)


def _merged_from(study: Study, single: Cell) -> tuple[Cell, ...]:
    merging = merging_of(study)
    return tuple(
        replace(single, architecture=MERGED, weighting=merger, surgery=rank, on_test=merging.unlabelled == "test")
        for merger in merging.mergers or ()
        for rank in sorted({0, merging.surgery.rank, *merging.surgery.ablation})
    )
