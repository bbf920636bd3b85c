"""The studies in use: the shared data that they need stays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import InputError
from pipeline.io.disk import entries_of
from pipeline.results.paths import StudyOutput, is_study_file, study_file
from pipeline.study.folders import results_folder
from pipeline.study.loading import load_study
from pipeline.study.models import Study


@dataclass(frozen=True)
class StudiesInUse:
    """studies: the readable studies in use. unreadable: what is wrong with the others."""

    studies: tuple[Study, ...]
    unreadable: tuple[str, ...]


def studies_in_use(study: Study) -> StudiesInUse:
    """Return this study, params.yaml, studies/*.yaml, and the last version that ran of every study with results.

    The last version counts because its file may have been changed since.
    """
    files = [Path("params.yaml"), *sorted(Path("studies").glob("*.y*ml"))]
    found: list[Study] = [study]
    unreadable: list[str] = []
    for path in files:
        if path.exists():
            _read(path, found, unreadable)
    for entry in entries_of(Path("results")):
        if versions := _versions(Path(entry.path)):
            _read(versions[-1], found, unreadable)
    return StudiesInUse(tuple(found), tuple(unreadable))


def earlier_studies(study: Study, notes: list[str]) -> list[Study]:
    """Return the stored earlier versions of the study; versions that cannot be read are added to the notes."""
    found: list[Study] = []
    unreadable: list[str] = []
    for path in _versions(results_folder(study)):
        if path.name != study_file(study).name:
            _read(path, found, unreadable)
    if unreadable:
        count = "an earlier version" if len(unreadable) == 1 else f"{len(unreadable)} earlier versions"
        notes.append(f"{count} of the study cannot be read; figures and tables that only it had stay. {unreadable[0]}")
    return found


def _versions(results: Path) -> list[Path]:
    """Return the versions of a study that ran, the last one last."""
    return sorted(
        filter(is_study_file, (results / StudyOutput.VERSIONS).glob("*.json")), key=lambda path: path.stat().st_mtime
    )


def _read(path: Path, found: list[Study], unreadable: list[str]) -> None:
    try:
        found.append(load_study(path))
    except (InputError, OSError, ValueError) as error:
        text = str(error)
        unreadable.append(text if str(path) in text else f"{path}: {text}")
