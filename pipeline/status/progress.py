"""Find the progress of each cell from its files and locks: done, running, failed, stopped or pending. This module imports no torch.

A missing or damaged file is part of the progress and raises no error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import InputError
from pipeline.io.disk import entries_of
from pipeline.io.files import read_json, resumable
from pipeline.locking.command_locks import ROBUSTNESS, SCORING, TRAINING, cell_lock
from pipeline.locking.locks import Holder, holder
from pipeline.results.cell_state import outdated, robustness_failure, robustness_outdated, training_failure
from pipeline.results.paths import CellOutput, robustness_files, rows_file
from pipeline.study.cell import Cell
from pipeline.study.cells import models_of, schedule_of
from pipeline.study.conditions import conditions_of
from pipeline.study.datasets import evaluated_on
from pipeline.study.folders import cell_folder
from pipeline.study.models import Study
from pipeline.study.robust_models import robust_models

DONE, RUNNING, FAILED, STOPPED, PENDING = "done", "running", "failed", "stopped", "pending"
STATES = (DONE, RUNNING, FAILED, STOPPED, PENDING)
_EPOCH = re.compile(r"epoch-(\d+)\.safetensors")


@dataclass(frozen=True)
class Progress:
    """The progress of a cell or of its robustness evaluation.

    Attributes:
        cell: the cell.
        state: one of STATES.
        reason: why it failed, what it waits for, or what its process does, as "trains" in "process 12 trains it".
        holder: the process that works on it.
        done: finished epochs, or finished corruptions of a robustness evaluation, in which clean images count as one more.
        total: number of epochs or corruptions.
    """

    cell: Cell
    state: str
    reason: str = ""
    holder: Holder | None = None
    done: int = 0
    total: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return the values as JSON data."""
        process = self.holder
        return {
            "cell": self.cell.id,
            "state": self.state,
            "reason": self.reason,
            "process": None
            if process is None
            else {"pid": process.pid, "host": process.host, "started": process.started},
            "done": self.done,
            "total": self.total,
        }


def progress_of_cells(study: Study) -> dict[Cell, Progress]:
    """Return the progress of each trained or merged model. A model is done when it is scored."""
    return {cell: _of_cell(study, cell) for cell in models_of(study)}


def progress_of_robustness(study: Study, cells: Mapping[Cell, Progress]) -> dict[Cell, Progress]:
    """Return the progress of each robustness evaluation.

    Args:
        study: the study.
        cells: the result of `progress_of_cells`.
    """
    return {cell: _of_robustness(study, cell, cells[cell]) for cell in robust_models(study)}


def _of_cell(study: Study, cell: Cell) -> Progress:
    made = "merged" if cell.merger else "trained"
    epochs = 1 if cell.merger else int(schedule_of(study, cell).epochs)  # a merged model is made in one step
    states = (_EPOCH.fullmatch(entry.name) for entry in entries_of(cell_folder(study, cell) / CellOutput.RESUME))
    epoch = min(max((int(match[1]) for match in states if match), default=0), epochs)
    if process := holder(cell_lock(study, cell, TRAINING)):
        return Progress(cell, RUNNING, "merges" if cell.merger else "trains", process, epoch, epochs)
    if process := holder(cell_lock(study, cell, SCORING)):
        return Progress(cell, RUNNING, "scores", process, epochs, epochs)
    provenance = cell_folder(study, cell) / CellOutput.PROVENANCE
    if provenance.is_file():
        if damage := _damage(provenance):
            return Progress(cell, FAILED, f"{damage} Delete it, and the cell is {made} again.", None, 0, epochs)
        names = [CellOutput.CHECKPOINT, *([] if cell.merger else [CellOutput.HISTORY]), CellOutput.PREDICTIONS]
        missing = [name for name in names if not (cell_folder(study, cell) / name).exists()]
        stale = f"its {missing[0]} is missing" if missing else outdated(study, cell)
        if stale:
            return Progress(cell, PENDING, stale, None, 0, epochs)
        if all(rows_file(study, cell, dataset).is_file() for dataset in evaluated_on(study, cell.dataset)):
            return Progress(cell, DONE, training_failure(study, cell), None, epochs, epochs)
        return Progress(cell, PENDING, f"{made}, not scored yet", None, epochs, epochs)
    if failure := training_failure(study, cell):
        return Progress(cell, FAILED, failure, None, epoch, epochs)
    return Progress(cell, STOPPED if epoch else PENDING, "", None, epoch, epochs)


def _of_robustness(study: Study, cell: Cell, trained: Progress) -> Progress:
    folder = cell_folder(study, cell) / CellOutput.ROBUSTNESS
    total = 1 + len(conditions_of(study).corruptions)
    measured = [entry for entry in entries_of(resumable(folder) / ".parts") if entry.name.endswith(".parquet")]
    done = min(len(measured), total)
    if process := holder(cell_lock(study, cell, ROBUSTNESS)):
        return Progress(cell, RUNNING, "tests", process, done, total)
    if all(path.is_file() for path in robustness_files(study, cell)):
        damage = next(
            filter(None, (_damage(path) for path in robustness_files(study, cell) if path.suffix == ".json")), ""
        )
        if damage:
            return Progress(cell, FAILED, f"{damage} Delete it, and the robustness is evaluated again.", None, 0, total)
        if stale := robustness_outdated(study, cell):
            return Progress(cell, PENDING, stale, None, 0, total)
        return Progress(cell, DONE, robustness_failure(study, cell), None, total, total)
    if failure := robustness_failure(study, cell):
        return Progress(cell, FAILED, failure, None, done, total)
    if done:
        return Progress(cell, STOPPED, "", None, done, total)
    reason = "" if trained.done == trained.total and trained.state != FAILED else "waits for its training"
    return Progress(cell, PENDING, reason, None, 0, total)


def _damage(path: Path) -> str:
    """Return what is wrong with a JSON file; empty if it is valid."""
    try:
        read_json(path)
    except InputError as error:
        return str(error).replace("; write it again.", ".")
    except (OSError, RecursionError) as error:
        return f"{path}: cannot be read ({error})."
    return ""
