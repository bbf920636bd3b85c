"""Define the locks of commands, and the one order in which all commands take them.

The locks of a study lie in results/<study>/.locks, and those of shared data in data/.locks. To exclude deadlocks, every command takes locks
in the same order: first the two general locks, which all commands share and only `clean` takes exclusively, then its own locks, sorted.
This module does not import numpy, because `endoarss --help` imports it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.locking.gpu_slots import claim_device
from pipeline.locking.locks import Holder, Lock, held

if TYPE_CHECKING:
    from pipeline.study.cell import Cell
    from pipeline.study.models import Study

DATA_LOCKS = Path("data/.locks")
TRAINING, SCORING, ROBUSTNESS = "train", "evaluate", "robustness"


@dataclass(frozen=True)
class Work:
    """What a command does and locks, declared before it runs.

    Attributes:
        does: what the command does, as in "process 12, which trains ...".
        locks: the command's own locks, in any order.
        on_gpu: whether the command runs a model and needs a slot of a GPU.
    """

    does: str
    locks: Sequence[Lock]
    on_gpu: bool = False


@contextmanager
def locks_of_command(study: Study, command: str, work: Work) -> Iterator[None]:
    """Hold the locks of a command, and a slot of a GPU if it asks for one.

    Args:
        study: the study that the command works on.
        command: the name of the command, which waiting processes print.
        work: what the command does and locks.

    Raises:
        OSError: if a lock file cannot be created.
    """
    shared = [Lock(data_lock(), shared=True), Lock(study_lock(study), shared=True)]
    with held([*shared, *in_order(work.locks)], Holder.here(command, work.does, study.name)):
        if work.on_gpu:
            claim_device(study.training.cells_per_gpu, work.does)
        yield


def in_order(locks: Iterable[Lock]) -> list[Lock]:
    """Return each lock once, sorted. A path that occurs as a shared and as an exclusive lock becomes exclusive."""
    requested = list(locks)
    exclusive = {lock.path for lock in requested if not lock.shared}
    # The training lock of a cell comes first, so that a process that waits for a training does not hold the lock of scoring.
    paths = sorted({lock.path for lock in requested}, key=lambda path: (path.parent, path.stem != TRAINING, path.name))
    return [Lock(path, shared=path not in exclusive) for path in paths]


def study_locks(study: Study) -> Path:
    """Return the folder of a study's locks."""
    from pipeline.study.folders import results_folder

    return results_folder(study) / ".locks"


def study_lock(study: Study) -> Path:
    """Return the lock that all commands on a study share; a command that deletes results takes it exclusively."""
    return study_locks(study) / "study.lock"


def data_lock() -> Path:
    """Return the lock that all commands share; a command that deletes shared data takes it exclusively."""
    return DATA_LOCKS / "data.lock"


def cell_lock(study: Study, cell: Cell, step: str) -> Path:
    """Return the lock of one step of a cell: TRAINING, SCORING or ROBUSTNESS."""
    return study_locks(study) / "cells" / cell.id / f"{step}.lock"


def tree_lock(root: Path) -> Path:
    """Return the lock of a generated raw tree."""
    return DATA_LOCKS / "raw" / root.parent.name / f"{root.name}.lock"


def shared_lock(kind: str, name: str) -> Path:
    """Return the lock of a folder or file of data/ that studies share, e.g. of one of its datasets."""
    return DATA_LOCKS / kind / f"{name}.lock"


def report_lock(study: Study, step: str) -> Path:
    """Return the lock of a reporting step such as collect_results or make_tables."""
    return study_locks(study) / "steps" / f"{step}.lock"
