"""Draws the figures of merging: bias and scores of merged models, and representations of test images in merged and individual models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.io.saved_files import read_representations
from pipeline.reporting.captions import study_caption
from pipeline.reporting.figures.figure_inputs import NothingToShow
from pipeline.reporting.merging import (
    groups_by_seed,
    measured_merging,
    merging_gaps,
    shown_groups,
    shown_rank,
    study_note,
)
from pipeline.results.paths import representations_file
from pipeline.results.study_results import StudyResults
from pipeline.study.cell import Cell, MergingGroup
from pipeline.study.datasets import titles_of
from pipeline.study.labels import model_labels
from pipeline.study.models import Study
from reports.figures.merging import Representations, draw_bias
from reports.figures.merging import draw_representations as draw_projections

Array = NDArray[np.float32]


def draw_merging(results: StudyResults, head: str, png: Path, pdf: Path) -> None:
    """Draw the bias and scores of merged models.

    Raises:
        NothingToShow: If nothing is merged yet.
    """
    measured = results.once(measured_merging)
    if measured is None:
        raise NothingToShow(f"Nothing is merged yet. {merging_gaps(results)}".strip())
    draw_bias(measured.rows, shown_rank(results.study), _head_of_validated(results, head), png, pdf)


def draw_representations(results: StudyResults, head: str, png: Path, pdf: Path) -> None:
    """Draw the representations of individual and merged models.

    Raises:
        NothingToShow: If there are no representations.
    """
    cases = representations_of(results)
    if not cases:
        raise NothingToShow(f"Nothing is merged yet. {merging_gaps(results)}".strip())
    draw_projections(cases, shown_rank(results.study), _head_of_validated(results, head), png, pdf)


def _head_of_validated(results: StudyResults, head: str) -> str:
    """Return the head of a figure whose epochs were selected on validation frames, even if the study selects other epochs differently."""
    caption = f"{study_caption(results, select_on='val')}\n{study_note(results.study)}"
    return head.replace(study_caption(results), caption)


def representations_of(results: StudyResults) -> list[Representations]:
    """Return the representations of the first shown seed of each merging experiment, without those of models that have changed since.

    Raises:
        InputError: If a file cannot be read; the message names it.
    """
    study, missing, cases = results.study, results.missing_models, []
    rank = shown_rank(study)
    for groups in groups_by_seed(study):
        for group in shown_groups(groups, missing)[:1]:
            saved = _saved_representations(study, group)
            tasks = [name.partition("/")[2] for name in saved if name.startswith("individual/")]
            merged: dict[str, dict[str, dict[str, Array]]] = {}
            for cell in group.merged:
                if cell.surgery in (0, rank) and saved.get(f"sha256 of {cell.id}") == _checkpoint(results, cell):
                    kind = "with" if cell.surgery else "without"
                    by_task = {task: saved[f"{cell.merger}-{cell.surgery}/{task}"] for task in tasks}
                    merged.setdefault(cell.merger, {})[kind] = by_task
            if merged:
                title = titles_of(study)[group.singles[0].dataset]
                backbone = model_labels(study).backbone(group.singles[0].backbone)
                individual = {task: saved[f"individual/{task}"] for task in tasks}
                cases.append(Representations(title, backbone, individual, merged))
    return cases


def _checkpoint(results: StudyResults, cell: Cell) -> str:
    """Return the digest of a merged model's checkpoint, or "none", which matches no digest, if it has no results."""
    try:
        return str(results.provenance(cell)["checkpoint_sha256"])
    except FileNotFoundError:
        return "none"


def _saved_representations(study: Study, group: MergingGroup) -> dict[str, Any]:
    """Return saved representations by name, and the digests of their models. Return nothing if the file is absent."""
    path = representations_file(study, group)
    if not path.is_file():
        return {}
    try:
        return read_representations(path)
    except InputError as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise InputError(f"{path}: no saved representations; {reason} Delete it and run snakemake.") from None
