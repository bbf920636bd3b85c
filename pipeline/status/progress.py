"""How far each cell of a study is: done, running, failed, stopped or pending. Reads what lies there; imports no torch.

Whatever is missing or torn is an answer, not an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import InputError
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
    """One cell, or its robustness evaluation.

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
        """As JSON tells it."""
        process = None
        if self.holder is not None:
            process = {"pid": self.holder.pid, "host": self.holder.host, "started": self.holder.started}
        return {
            "cell": self.cell.id,
            "state": self.state,
            "reason": self.reason,
            "process": process,
            "done": self.done,
            "total": self.total,
        }


def progress_of_cells(study: Study) -> dict[Cell, Progress]:
    """How far each training and each merged model is, its scores included."""
    return {cell: _of_cell(study, cell) for cell in models_of(study)}


def progress_of_robustness(study: Study, cells: Mapping[Cell, Progress]) -> dict[Cell, Progress]:
    """How far the robustness of each model is that is evaluated.

    Args:
        study: the study. cells: what `progress_of_cells` says of it.
    """
    return {cell: _of_robustness(study, cell, cells[cell]) for cell in robust_models(study)}


def _of_cell(study: Study, cell: Cell) -> Progress:
    # A merged model is there or not: one step.
    epochs = 1 if cell.merger else int(schedule_of(study, cell).epochs)
    epoch = min(_last_epoch(cell_folder(study, cell) / CellOutput.RESUME), epochs)
    worker = holder(cell_lock(study, cell, TRAINING))
    if worker is not None:
        return Progress(cell, RUNNING, "merges" if cell.merger else "trains", worker, epoch, epochs)
    worker = holder(cell_lock(study, cell, SCORING))
    if worker is not None:
        return Progress(cell, RUNNING, "scores", worker, epochs, epochs)
    about = cell_folder(study, cell) / CellOutput.PROVENANCE
    if about.is_file():
        torn = _torn(about)
        if torn:
            again = "merged" if cell.merger else "trained"
            return Progress(cell, FAILED, f"{torn} Delete it: the cell is then {again} again.", None, 0, epochs)
        left = cell_folder(study, cell)
        names = (
            ("model.safetensors", "predictions") if cell.merger else ("model.safetensors", "history.csv", "predictions")
        )
        gone = [name for name in names if not (left / name).exists()]
        other = f"its {gone[0]} is gone" if gone else outdated(study, cell)
        if other:
            return Progress(cell, PENDING, other, None, 0, epochs)
        if all(rows_file(study, cell, dataset).is_file() for dataset in evaluated_on(study, cell.dataset)):
            return Progress(cell, DONE, training_failure(study, cell), None, epochs, epochs)
        return Progress(
            cell, PENDING, "merged, not scored yet" if cell.merger else "trained, not scored yet", None, epochs, epochs
        )
    failure = training_failure(study, cell)
    if failure:
        return Progress(cell, FAILED, failure, None, epoch, epochs)
    return Progress(cell, STOPPED if epoch else PENDING, "", None, epoch, epochs)


def _of_robustness(study: Study, cell: Cell, trained: Progress) -> Progress:
    folder = cell_folder(study, cell) / CellOutput.ROBUSTNESS
    total = 1 + len(conditions_of(study).corruptions)
    done = min(_count(resumable(folder) / ".parts", "*.parquet"), total)
    worker = holder(cell_lock(study, cell, ROBUSTNESS))
    if worker is not None:
        return Progress(cell, RUNNING, "tests", worker, done, total)
    if all(path.is_file() for path in robustness_files(study, cell)):
        torn = next(filter(None, (_torn(path) for path in robustness_files(study, cell) if path.suffix == ".json")), "")
        if torn:
            return Progress(cell, FAILED, f"{torn} Delete it: the robustness is then evaluated again.", None, 0, total)
        if other := robustness_outdated(study, cell):
            return Progress(cell, PENDING, other, None, 0, total)
        return Progress(cell, DONE, robustness_failure(study, cell), None, total, total)
    failure = robustness_failure(study, cell)
    if failure:
        return Progress(cell, FAILED, failure, None, done, total)
    if done:
        return Progress(cell, STOPPED, "", None, done, total)
    waits = "" if trained.done == trained.total and trained.state != FAILED else "waits for its training"
    return Progress(cell, PENDING, waits, None, 0, total)


def _torn(path: Path) -> str:
    """What is wrong with a file of JSON; empty where nothing is."""
    try:
        read_json(path)
    except InputError as error:
        return str(error).replace("; write it again.", ".")
    except (OSError, RecursionError) as error:
        return f"{path}: cannot be read ({error})."
    return ""


def _last_epoch(folder: Path) -> int:
    return max((int(match[1]) for name in _names(folder) if (match := _EPOCH.fullmatch(name))), default=0)


def _names(folder: Path) -> Iterator[str]:
    try:
        yield from (path.name for path in folder.iterdir())
    except OSError:
        return


def _count(folder: Path, pattern: str) -> int:
    return sum(Path(name).match(pattern) for name in _names(folder))
