"""Select the models of a study that are evaluated under corruption."""

from __future__ import annotations

from pipeline.study.cell import Cell, MergingGroup
from pipeline.study.cells import cells_of, merging_groups, merging_of
from pipeline.study.models import Study


def robustness_cells(study: Study) -> tuple[Cell, ...]:
    """Return the trainings of `cells_of` that match a pattern of `robustness.cells` and have the study's rank."""
    patterns = study.robustness.cells if study.robustness else ()
    return tuple(
        cell
        for cell in cells_of(study)
        if cell.rank == study.lora.rank and any(pattern.fits(cell) for pattern in patterns)
    )


def robust_together(study: Study, group: MergingGroup) -> tuple[Cell, ...]:
    """Return the models of a group that share one robustness evaluation, in which each image is corrupted once for all of them.

    These are the single-task models and the merged models, but not those with a rank of Surgery's ablation.
    """
    merging = merging_of(study)
    if study.robustness is None or not merging.robustness:
        return ()
    return (*group.singles, *(cell for cell in group.merged if cell.surgery in (0, merging.surgery.rank)))


def robust_models(study: Study) -> tuple[Cell, ...]:
    """Return all models whose robustness is evaluated: those of `robustness.cells`, and the models of merging groups."""
    models = dict.fromkeys(robustness_cells(study))
    for group in merging_groups(study):
        together = robust_together(study, group)
        models |= dict.fromkeys((*together, *group.joint) if together else ())
    return tuple(models)


def robustness_baseline(study: Study, dataset: str) -> Cell | None:
    """Return the cell of a dataset that corruption errors are relative to, or None if the study has no baseline for the dataset."""
    pattern = study.robustness.baseline if study.robustness else None
    if pattern is None:
        return None
    return next((cell for cell in robustness_cells(study) if cell.dataset == dataset and pattern.fits(cell)), None)


def keeps_corrupted(study: Study) -> bool:
    """Return whether corrupted test images are stored and used for all cells."""
    return study.robustness is not None and study.robustness.keep_corrupted
