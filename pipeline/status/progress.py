"""The progress of each cell of a study: done, running, failed, stopped or pending. Reads result files; imports no torch.

Whatever is missing or torn is an answer, not an error.
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

    state: one of STATES. reason: why it failed, what is left of it, or what the holder does with it. holder: who works on it.
    done, total: epochs, or corruptions (the images as they are among them) of a robustness evaluation; what a stopped one goes on from.
    """

    cell: Cell
    state: str
    reason: str = ""
    holder: Holder | None = None
    done: int = 0
    total: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return the values as JSON data."""
        who = self.holder
        return {
            "cell": self.cell.id,
            "state": self.state,
            "reason": self.reason,
            "process": None if who is None else {"pid": who.pid, "host": who.host, "started": who.started},
            "done": self.done,
            "total": self.total,
        }


def progress_of_cells(study: Study) -> dict[Cell, Progress]:
    """Return the progress of each training and merged model, with its scores."""
    return {cell: _of_cell(study, cell) for cell in models_of(study)}


def progress_of_robustness(study: Study, cells: Mapping[Cell, Progress]) -> dict[Cell, Progress]:
    """Return the progress of each robustness evaluation.

    Args:
        study: the study. cells: what `progress_of_cells` says of it.
    """
    return {cell: _of_robustness(study, cell, cells[cell]) for cell in robust_models(study)}


def _of_cell(study: Study, cell: Cell) -> Progress:
    # A merged model is made in one step.
    made = "merged" if cell.merger else "trained"
    epochs = 1 if cell.merger else int(schedule_of(study, cell).epochs)
    states = (_EPOCH.fullmatch(entry.name) for entry in entries_of(cell_folder(study, cell) / CellOutput.RESUME))
    epoch = min(max((int(match[1]) for match in states if match), default=0), epochs)
    if worker := holder(cell_lock(study, cell, TRAINING)):
        return Progress(cell, RUNNING, "merges" if cell.merger else "trains", worker, epoch, epochs)
    if worker := holder(cell_lock(study, cell, SCORING)):
        return Progress(cell, RUNNING, "scores", worker, epochs, epochs)
    about = cell_folder(study, cell) / CellOutput.PROVENANCE
    if about.is_file():
        if torn := _torn(about):
            return Progress(cell, FAILED, f"{torn} Delete it, and the cell is {made} again.", None, 0, epochs)
        names = [CellOutput.CHECKPOINT, *([] if cell.merger else [CellOutput.HISTORY]), CellOutput.PREDICTIONS]
        gone = [name for name in names if not (cell_folder(study, cell) / name).exists()]
        other = f"its {gone[0]} is missing" if gone else outdated(study, cell)
        if other:
            return Progress(cell, PENDING, other, None, 0, epochs)
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
    if worker := holder(cell_lock(study, cell, ROBUSTNESS)):
        return Progress(cell, RUNNING, "tests", worker, done, total)
    if all(path.is_file() for path in robustness_files(study, cell)):
        torn = next(filter(None, (_torn(path) for path in robustness_files(study, cell) if path.suffix == ".json")), "")
        if torn:
            return Progress(cell, FAILED, f"{torn} Delete it, and the robustness is evaluated again.", None, 0, total)
        if other := robustness_outdated(study, cell):
            return Progress(cell, PENDING, other, None, 0, total)
        return Progress(cell, DONE, robustness_failure(study, cell), None, total, total)
    if failure := robustness_failure(study, cell):
        return Progress(cell, FAILED, failure, None, done, total)
    if done:
        return Progress(cell, STOPPED, "", None, done, total)
    waits = "" if trained.done == trained.total and trained.state != FAILED else "waits for its training"
    return Progress(cell, PENDING, waits, None, 0, total)


def _torn(path: Path) -> str:
    """Return what is wrong with a JSON file; empty if it is valid."""
    try:
        read_json(path)
    except InputError as error:
        return str(error).replace("; write it again.", ".")
    except (OSError, RecursionError) as error:
        return f"{path}: cannot be read ({error})."
    return ""
