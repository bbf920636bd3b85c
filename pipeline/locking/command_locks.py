"""Which locks each command takes, and which of them need a GPU.

Locks of one study lie in results/<study>/.locks, those of what studies share in data/.locks. Every command takes them in one order:
first the two that say "somebody works here", which all share and only `clean` takes alone, then its own, sorted. So nobody waits in a
circle, whatever the studies.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeline.io.hashing import digest
from pipeline.locking.gpu_slots import claim_device
from pipeline.locking.locks import Holder, Lock, held
from pipeline.redaction import masked
from pipeline.results.paths import corrupted_folder, generated_trees
from pipeline.study.cell import Cell
from pipeline.study.cells import find_cell
from pipeline.study.folders import dataset_folder, pretrained_file, results_folder
from pipeline.study.models import Study
from pipeline.training.merge_request import read_request

DATA_LOCKS = Path("data/.locks")
# Commands that write one thing of a study, and what they do.
_REPORTS = {
    "collect": "collects the results",
    "draw-datasets": "draws the datasets",
    "draw-leakage": "draws the leakage",
    "tables": "makes the tables",
    "figures": "draws the figures",
    "page": "makes the page",
    "paper": "sets the paper",
}
WRITING = frozenset(
    {*_REPORTS, "report", "generate", "build", "pack", "pretrain", "train", "evaluate"}
    | {"references", "corrupt", "robustness", "merge"}
)
TRAINING, SCORING, ROBUSTNESS = "train", "evaluate", "robustness"


@contextmanager
def at_work(study: Study, arguments: argparse.Namespace) -> Iterator[None]:
    """Hold the locks of a command, and a slot of a GPU if it asks for one; a command that writes nothing of a study holds none.

    Raises:
        InputError: if the study has no such cell. OSError: if a lock's file cannot be made.
    """
    command = str(arguments.command)
    if command not in WRITING:
        yield
        return
    does, own = _of_command(study, command, arguments)
    shared = [Lock(data_lock(), shared=True), Lock(study_lock(study), shared=True)]
    with held([*shared, *own], Holder.here(command, does, study.name)):
        if _asks_for_device(command, arguments):
            claim_device(study.training.cells_per_gpu, does)
        yield


def study_locks(study: Study) -> Path:
    """The folder of a study's locks."""
    return results_folder(study) / ".locks"


def study_lock(study: Study) -> Path:
    """Shared by all who work on a study; who takes it alone may delete of its results."""
    return study_locks(study) / "study.lock"


def data_lock() -> Path:
    """Shared by all who work on any study; who takes it alone may delete what studies share."""
    return DATA_LOCKS / "data.lock"


def cell_lock(study: Study, cell: Cell, step: str) -> Path:
    """The lock of one step of a cell: TRAINING, SCORING or ROBUSTNESS."""
    return study_locks(study) / "cells" / cell.id / f"{step}.lock"


def tree_lock(root: Path) -> Path:
    """The lock of a generated raw tree."""
    return DATA_LOCKS / "raw" / root.parent.name / f"{root.name}.lock"


def _of_command(study: Study, command: str, arguments: argparse.Namespace) -> tuple[str, list[Lock]]:
    """What a command does, in words, and its own locks in their order. What names nothing of the study gets none: the step says so."""
    here = study_locks(study)
    if command in _REPORTS:
        return f"{_REPORTS[command]} of {study.name}", [Lock(here / f"steps/{command}.lock")]
    if command == "report":
        return f"makes the report of {study.name}", [Lock(here / f"steps/{name}.lock") for name in sorted(_REPORTS)]
    if command == "generate":
        root = generated_trees(study).get(arguments.tree)
        return f"generates the raw tree {arguments.tree}", [Lock(tree_lock(root))] if root else []
    if command == "pretrain":
        file = pretrained_file(study)
        return "pretrains a backbone", [Lock(DATA_LOCKS / "weights" / f"{file.stem}.lock")] if file else []
    if command == "train":
        return _of_cells(study, TRAINING, "trains", [arguments.cell])
    if command == "evaluate":
        # With --again it writes what a training writes.
        step = TRAINING if arguments.again else SCORING
        return _of_cells(study, step, "scores", arguments.cell)
    if command == "merge":
        return _of_merging(study, arguments)
    if command == "robustness":
        if arguments.cell:
            return _of_cells(study, ROBUSTNESS, "evaluates the robustness of", arguments.cell)
        tested = masked(arguments.label or arguments.predictor or str(arguments.predictions))
        where = str(arguments.out.resolve()) if arguments.out else [tested, arguments.dataset]
        return f"evaluates the robustness of {tested}", [Lock(here / "predictors" / f"{digest(where)[:16]}.lock")]
    return _of_dataset(study, command, arguments.dataset)


def _of_cells(study: Study, step: str, does: str, ids: Sequence[str]) -> tuple[str, list[Lock]]:
    """A training has its cell alone. Scoring and robustness read what it wrote: they may run side by side, but not beside it."""
    cells = [find_cell(study, cell_id) for cell_id in sorted(set(ids))]
    locks = []
    for cell in cells:
        training = Lock(cell_lock(study, cell, TRAINING), shared=step != TRAINING)
        locks += [training] if step == TRAINING else [training, Lock(cell_lock(study, cell, step))]
    more = f" and {len(cells) - 1} more cells" if len(cells) > 1 else ""
    return f"{does} {cells[0].id}{more}", locks


def _of_merging(study: Study, arguments: argparse.Namespace) -> tuple[str, list[Lock]]:
    """The trainings that are read, and what is written: merged cells, or a folder of its own."""
    request = read_request(study, arguments)
    read = [cell_lock(study, source.cell, TRAINING) for source in request.sources if source.cell is not None]
    written = [cell_lock(study, cell, TRAINING) for cell in request.cells()]
    if request.out is not None:
        written.append(study_locks(study) / "merged" / f"{digest(str(request.out.resolve()))[:16]}.lock")
    if request.group is not None:
        written.append(study_locks(study) / "merging" / f"{request.group.id}.lock")
    # One lock a path: who asked for both of one would wait for itself.
    locks = {*(Lock(path, shared=True) for path in read if path not in written), *(Lock(path) for path in written)}
    return f"merges {' and '.join(source.name for source in request.sources)}", sorted(locks)


def _of_dataset(study: Study, command: str, dataset: str) -> tuple[str, list[Lock]]:
    does = {
        "build": "builds",
        "pack": "packs",
        "references": "scores the references of",
        "corrupt": "corrupts the images of",
    }
    words = f"{does[command]} {dataset}"
    if dataset not in study.datasets:
        return words, []
    if command == "references":
        return words, [Lock(study_locks(study) / f"references/{dataset}.lock")]
    if command == "corrupt":
        return words, [Lock(DATA_LOCKS / "corrupted" / f"{corrupted_folder(study, dataset).name}.lock")]
    return words, [Lock(DATA_LOCKS / "datasets" / f"{dataset_folder(study, dataset).name}.lock")]


def _asks_for_device(command: str, arguments: argparse.Namespace) -> bool:
    """Whether a command runs a model."""
    if command == "evaluate":
        return bool(arguments.again)
    return command in ("pretrain", "train", "merge") or (command == "robustness" and not arguments.predictions)
