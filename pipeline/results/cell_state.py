"""Finds the cells without current results, and the reasons, for reports. It does not decide what runs again (see docs/workflow.md)."""

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
OTHER_CHECKPOINT = "trained again; its robustness was not evaluated since"
MERGED_CHECKPOINT = "merged again; its robustness was not evaluated since"
NO_ROBUSTNESS = "its robustness is not evaluated yet"


@contextmanager
def failure_recorded(study: Study, *cells: Cell) -> Iterator[None]:
    """Save why a training or merging fails, for reports and status. Remove the record of an earlier failure first."""
    with _failure_recorded({paths.failure_file(study, cell): cell for cell in cells}):
        yield


@contextmanager
def robustness_failure_recorded(study: Study, cells: Sequence[Cell]) -> Iterator[None]:
    """Save why a robustness evaluation fails, for each of its cells. Remove the record of an earlier failure first."""
    with _failure_recorded({paths.robustness_failure_file(study, cell): cell for cell in cells}):
        yield


@contextmanager
def _failure_recorded(files: Mapping[Path, Cell]) -> Iterator[None]:
    """Save the message of a failure into the file of each cell."""
    for path in files:
        path.unlink(missing_ok=True)
    try:
        yield
    except Exception as error:
        message = explained(error) if isinstance(error, OSError) else str(error)
        text = " ".join(masked(message).split()) or type(error).__name__
        for path, cell in files.items():
            with suppress(OSError):  # a full disk must not hide the first error
                write_json(path, {"cell": cell.id, "error": type(error).__name__, "message": text[:500]})
        raise


def check_made(study: Study, cell: Cell) -> None:
    """Check that a merged cell has its checkpoint.

    Raises:
        InputError: if it has none. The message contains the command that merges the cell.
    """
    if not cell.merger or (cell_folder(study, cell) / CellOutput.CHECKPOINT).is_file():
        return
    singles = [
        training.id
        for training in trainings_of(study)
        if replace(training, architecture=MERGED, weighting=cell.merger, surgery=cell.surgery, on_test=cell.on_test)
        == cell
        and training.architecture in SINGLE_TASKS
    ]
    surgery = f" --surgery {cell.surgery}" if cell.surgery else ""
    raise InputError(
        f"{cell.id}: not merged yet. Run: endoarss merge {' '.join(singles)} --method {cell.merger}{surgery}"
    )


def missing_models(study: Study) -> dict[Cell, str]:
    """Return the trained and merged models without current results, each with the reason."""
    return _missing(study, models_of(study))


def _missing(study: Study, cells: Sequence[Cell]) -> dict[Cell, str]:
    missing = {}
    for cell in cells:
        if not (cell_folder(study, cell) / paths.CellOutput.PROVENANCE).is_file():
            missing[cell] = training_failure(study, cell) or (NOT_MERGED if cell.merger else NOT_TRAINED)
        elif not all(paths.rows_file(study, cell, dataset).is_file() for dataset in evaluated_on(study, cell.dataset)):
            missing[cell] = MERGED_NOT_EVALUATED if cell.merger else NOT_EVALUATED
        elif reason := outdated(study, cell):
            missing[cell] = reason
    return missing


def missing_robust_models(study: Study) -> dict[Cell, str]:
    """Return the models whose robustness the study asks for and whose results are missing or stale, each with the reason."""
    cells = robust_models(study)
    without_results = _missing(study, cells)
    missing = {}
    for cell in cells:
        if cell in without_results:
            missing[cell] = without_results[cell]
        elif not all(path.is_file() for path in paths.robustness_files(study, cell)):
            missing[cell] = robustness_failure(study, cell) or NO_ROBUSTNESS
        elif reason := robustness_outdated(study, cell):
            missing[cell] = reason
    return missing


def robustness_outdated(study: Study, cell: Cell) -> str:
    """Return why the stored robustness of a model is stale, or an empty string if it belongs to the present checkpoint."""
    tested = _value_in(paths.robustness_files(study, cell).provenance, "checkpoint_sha256")
    if tested in (None, _value_in_provenance(study, cell, "checkpoint_sha256")):
        return ""
    return MERGED_CHECKPOINT if cell.merger else OTHER_CHECKPOINT


def outdated(study: Study, cell: Cell) -> str:
    """Return why the stored results of a cell are stale, or an empty string if they are current.

    Old and new results may lie next to each other after a run was stopped.
    """
    settings = _value_in_provenance(study, cell, "settings")
    if settings is not None and settings != masked_settings(cell_settings(study, cell)):
        return MERGED_OTHERWISE if cell.merger else OTHER_SETTINGS
    if cell.merger and _other_sources(study, _value_in_provenance(study, cell, "merged_from") or {}):
        return OTHER_SOURCES
    predicted = _value_in_provenance(study, cell, "predictions_sha256") or {}
    for dataset, digest in predicted.items():
        scored = _value_in(paths.scores_file(study, cell, dataset), "predictions_sha256")
        if scored not in (None, digest):
            return MERGED_AGAIN if cell.merger else OTHER_PREDICTIONS
    return ""


def _other_sources(study: Study, merged_from: Mapping[str, str]) -> bool:
    """Return whether one of the models in `merged_from` is stale, or was trained again after the merging."""
    trainings = {cell.id: cell for cell in trainings_of(study) if cell.id in merged_from}
    return any(
        _value_in_provenance(study, cell, "checkpoint_sha256") not in (None, merged_from[name])
        or bool(outdated(study, cell))
        for name, cell in trainings.items()
    )


def _value_in_provenance(study: Study, cell: Cell, key: str) -> Any:
    return _value_in(cell_folder(study, cell) / paths.CellOutput.PROVENANCE, key)


def _value_in(path: Path, key: str) -> Any:
    """Return the value of a key of a JSON file, or None if the key or the file is absent or unreadable."""
    try:
        return read_json(path).get(key)
    except (InputError, OSError):
        return None


def training_failure(study: Study, cell: Cell) -> str:
    """Return why the last training or merging of a cell failed, or an empty string if it succeeded or still runs."""
    return _failure(paths.failure_file(study, cell), "merging failed" if cell.merger else "training failed")


def robustness_failure(study: Study, cell: Cell) -> str:
    """Return why the last robustness evaluation of a cell failed, or an empty string if it succeeded or still runs."""
    return _failure(paths.robustness_failure_file(study, cell), "its robustness evaluation failed")


def _failure(path: Path, failed: str) -> str:
    """Return `failed` followed by the recorded message of the failure, or an empty string if no failure is recorded."""
    try:
        return f"{failed}: {read_json(path).get('message') or 'no message'}"
    except FileNotFoundError:
        return ""
    except (InputError, OSError, RecursionError):
        return f"{failed}; the reason is in {path}, which cannot be read"
