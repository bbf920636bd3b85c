"""Which cells have no results, and why: reports show the gap with its reason. Nothing here decides what runs again (docs/workflow.md)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from corruptions.system_errors import explained
from pipeline.errors import InputError
from pipeline.io.files import read_json, write_json
from pipeline.redaction import masked, masked_settings
from pipeline.results import paths
from pipeline.results.paths import CellOutput
from pipeline.study.cell import MERGED, SINGLE_TASKS, Cell
from pipeline.study.cells import models_of, trainings_of
from pipeline.study.datasets import evaluated_on
from pipeline.study.fingerprints import cell_settings
from pipeline.study.folders import cell_folder
from pipeline.study.models import Study
from pipeline.study.robust_models import robust_models

NOT_TRAINED = "not trained yet"
NOT_MERGED = "not merged yet"
NOT_EVALUATED = "trained, but not evaluated"
OTHER_SETTINGS = "trained with other settings; not trained again yet"
OTHER_PREDICTIONS = "trained again, but not evaluated since"
MERGED_NOT_EVALUATED = "merged, but not evaluated"
MERGED_OTHERWISE = "merged with other settings; not merged again yet"
MERGED_AGAIN = "merged again, but not evaluated since"
OTHER_SOURCES = "merged from models that were trained again; not merged again yet"
OTHER_CHECKPOINT = "trained again; its robustness is not evaluated since"
MERGED_CHECKPOINT = "merged again; its robustness is not evaluated since"
NO_ROBUSTNESS = "its robustness is not evaluated yet"


@contextmanager
def failure_recorded(study: Study, *cells: Cell) -> Iterator[None]:
    """Keep why a training, or a merging, fails, for reports and status. What an earlier try left is forgotten as this one begins."""
    with _recorded({paths.failure_file(study, cell): cell for cell in cells}):
        yield


@contextmanager
def robustness_failure_recorded(study: Study, cells: Sequence[Cell]) -> Iterator[None]:
    """The same of a robustness evaluation, for each of its cells."""
    with _recorded({paths.robustness_failure_file(study, cell): cell for cell in cells}):
        yield


@contextmanager
def _recorded(files: Mapping[Path, Cell]) -> Iterator[None]:
    for path in files:
        path.unlink(missing_ok=True)
    try:
        yield
    except Exception as error:
        said = explained(error) if isinstance(error, OSError) else str(error)
        words = " ".join(masked(said).split()) or type(error).__name__
        for path, cell in files.items():
            with suppress(OSError):  # a full disk is no reason to hide what happened
                write_json(path, {"cell": cell.id, "error": type(error).__name__, "message": words[:500]})
        raise


def check_made(study: Study, cell: Cell) -> None:
    """See that a merged model is there.

    Raises:
        InputError: with the command that makes it.
    """
    if not cell.merger or (cell_folder(study, cell) / CellOutput.CHECKPOINT).is_file():
        return
    singles = [
        one.id
        for one in trainings_of(study)
        if replace(one, architecture=MERGED, weighting=cell.merger, surgery=cell.surgery, on_test=cell.on_test) == cell
        and one.architecture in SINGLE_TASKS
    ]
    surgery = f" --surgery {cell.surgery}" if cell.surgery else ""
    raise InputError(
        f"{cell.id}: not merged yet. Run: endoarss merge {' '.join(singles)} --method {cell.merger}{surgery}"
    )


def missing_models(study: Study) -> dict[Cell, str]:
    """Everything that is trained or merged and has no results, each with the reason."""
    return _missing(study, models_of(study))


def _missing(study: Study, cells: Sequence[Cell]) -> dict[Cell, str]:
    found = {}
    for cell in cells:
        if not (cell_folder(study, cell) / paths.CellOutput.PROVENANCE).is_file():
            found[cell] = training_failure(study, cell) or (NOT_MERGED if cell.merger else NOT_TRAINED)
        elif not all(paths.rows_file(study, cell, dataset).is_file() for dataset in evaluated_on(study, cell.dataset)):
            found[cell] = MERGED_NOT_EVALUATED if cell.merger else NOT_EVALUATED
        elif reason := outdated(study, cell):
            found[cell] = reason
    return found


def missing_robust_models(study: Study) -> dict[Cell, str]:
    """All models whose robustness the study asks for and that have none, each with the reason."""
    cells = robust_models(study)
    lacking = _missing(study, cells)
    found = {}
    for cell in cells:
        if cell in lacking:
            found[cell] = lacking[cell]
        elif not all(path.is_file() for path in paths.robustness_files(study, cell)):
            found[cell] = robustness_failure(study, cell) or NO_ROBUSTNESS
        elif reason := robustness_outdated(study, cell):
            found[cell] = reason
    return found


def robustness_outdated(study: Study, cell: Cell) -> str:
    """Why what lies there of a model's robustness is not of its present checkpoint, empty if it is."""
    tested = _told(paths.robustness_files(study, cell).provenance, "checkpoint_sha256")
    if tested in (None, _of_training(study, cell, "checkpoint_sha256")):
        return ""
    return MERGED_CHECKPOINT if cell.merger else OTHER_CHECKPOINT


def outdated(study: Study, cell: Cell) -> str:
    """Why what lies there of a trained cell is not what the study now asks for, empty if it is: a run that was stopped leaves old and
    new side by side."""
    settings = _of_training(study, cell, "settings")
    if settings is not None and settings != masked_settings(cell_settings(study, cell)):
        return MERGED_OTHERWISE if cell.merger else OTHER_SETTINGS
    if cell.merger and _other_sources(study, _of_training(study, cell, "merged_from") or {}):
        return OTHER_SOURCES
    answered = _of_training(study, cell, "predictions_sha256") or {}
    for dataset, digest in answered.items():
        scored = _told(paths.scores_file(study, cell, dataset), "predictions_sha256")
        if scored not in (None, digest):
            return MERGED_AGAIN if cell.merger else OTHER_PREDICTIONS
    return ""


def _other_sources(study: Study, merged_from: Mapping[str, str]) -> bool:
    """Whether a model that another was merged from is another now, or is not what the study asks for."""
    trainings = {cell.id: cell for cell in trainings_of(study) if cell.id in merged_from}
    return any(
        _of_training(study, cell, "checkpoint_sha256") not in (None, merged_from[name]) or bool(outdated(study, cell))
        for name, cell in trainings.items()
    )


def _of_training(study: Study, cell: Cell, key: str) -> Any:
    return _told(cell_folder(study, cell) / paths.CellOutput.PROVENANCE, key)


def _told(path: Path, key: str) -> Any:
    """What a file says under a key; None where it says nothing, or cannot be read, which whoever needs it will say."""
    try:
        return read_json(path).get(key)
    except (InputError, OSError):
        return None


def training_failure(study: Study, cell: Cell) -> str:
    """Why the last training of a cell failed; empty if it did not, or goes on."""
    return _failure(paths.failure_file(study, cell), "merging failed" if cell.merger else "training failed")


def robustness_failure(study: Study, cell: Cell) -> str:
    """Why the last robustness evaluation of a cell failed; empty if it did not, or goes on."""
    return _failure(paths.robustness_failure_file(study, cell), "its robustness evaluation failed")


def _failure(path: Path, what: str) -> str:
    try:
        return f"{what}: {read_json(path).get('message') or 'no message'}"
    except FileNotFoundError:
        return ""
    except (InputError, OSError, RecursionError):
        return f"{what}; {path} says why, but cannot be read"
