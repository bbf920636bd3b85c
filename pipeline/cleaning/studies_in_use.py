"""Finds the studies in use, whose shared data `endoarss clean` does not delete."""

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
    """The studies in use that can be read, and a message for each study that cannot be read."""

    studies: tuple[Study, ...]
    unreadable: tuple[str, ...]


def studies_in_use(study: Study) -> StudiesInUse:
    """Return this study, those in params.yaml and studies/*.yaml, and for every study with results the version that ran last.

    The stored version counts too, because the study's file may have been changed since the run.
    """
    files = [Path("params.yaml"), *sorted(Path("studies").glob("*.y*ml"))]
    studies: list[Study] = [study]
    unreadable: list[str] = []
    for path in files:
        if path.exists():
            _read(path, studies, unreadable)
    for entry in entries_of(Path("results")):
        if versions := _versions(Path(entry.path)):
            _read(versions[-1], studies, unreadable)
    return StudiesInUse(tuple(studies), tuple(unreadable))


def earlier_studies(study: Study, notes: list[str]) -> list[Study]:
    """Return the stored earlier versions of the study. If some cannot be read, add a note."""
    studies: list[Study] = []
    unreadable: list[str] = []
    for path in _versions(results_folder(study)):
        if path.name != study_file(study).name:
            _read(path, studies, unreadable)
    if unreadable:
        count = "An earlier version" if len(unreadable) == 1 else f"{len(unreadable)} earlier versions"
        notes.append(
            f"{count} of the study cannot be read, so figures and tables of that version stay. {unreadable[0]}"
        )
    return studies


def _versions(results: Path) -> list[Path]:
    """Return the stored versions of a study, in the order in which they ran."""
    return sorted(
        filter(is_study_file, (results / StudyOutput.VERSIONS).glob("*.json")), key=lambda path: path.stat().st_mtime
    )


def _read(path: Path, studies: list[Study], unreadable: list[str]) -> None:
    try:
        studies.append(load_study(path))
    except (InputError, OSError, ValueError) as error:
        text = str(error)
        unreadable.append(text if str(path) in text else f"{path}: {text}")
