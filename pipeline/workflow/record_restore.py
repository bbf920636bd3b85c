"""Record in DVC the results that Snakemake made, and check the results that DVC restored."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from pipeline.cleaning.prunable_files import find_prunable_files
from pipeline.cleaning.studies_in_use import studies_in_use
from pipeline.errors import InputError
from pipeline.io.files import read_text
from pipeline.io.known_digests import KnownDigests
from pipeline.results.paths import StudyOutput
from pipeline.study.folders import results_folder
from pipeline.study.loading import load_study
from pipeline.study.models import Study
from pipeline.workflow.failed_program import last_output
from pipeline.workflow.plan import set_plan_times, stale_results
from pipeline.workflow.results_of_study import ResultsOfStudy
from pipeline.workflow.use_study import NAMES, PARAMS, names_for_dvc

HOW_TO_INSTALL = (
    "It belongs to the extra `workflow`: pip install 'endoarss[workflow]', or make setup, which installs everything."
)
_SHOWN_AT_MOST = 8
_IN_DVC = (StudyOutput.CELLS, StudyOutput.MERGING, StudyOutput.REFERENCES, StudyOutput.FIGURES, StudyOutput.TABLES)
"""The folders of results/<study> that DVC stores whole, with every file in them."""


def record() -> str:
    """Record in DVC the results of the study that params.yaml holds; `dvc repro` then finds all of them current. Return what to do next.

    Raises:
        InputError: if a result is stale, the folder of results holds files that the study does not have, or DVC is not set up or fails.
    """
    study = _study_in_use()
    results = ResultsOfStudy(study, KnownDigests())
    stale = stale_results(results)
    if stale:
        raise InputError(
            f"{PARAMS}: {len(stale)} results are not current. Run `snakemake --cores 2` first. `dvc checkout` restores missing "
            f"results that were recorded.\n{_first_lines([f'{path}: {why}' for path, why in stale.items()])}"
        )
    folders = [results_folder(study) / name for name in _IN_DVC]
    prunable = [file.path for file in find_prunable_files(study, studies_in_use(study)).delete]
    undeclared = [str(path) for path in prunable if any(path.is_relative_to(folder) for folder in folders)]
    if undeclared:
        raise InputError(
            f"{results_folder(study)}: holds {len(undeclared)} files or folders that the study does not have, and DVC would store "
            f"them too. `endoarss clean --yes` deletes them.\n{_first_lines(undeclared)}"
        )
    committed = _dvc("commit", "--force")  # --quiet would hide why it fails
    if committed.returncode:
        raise InputError(f"dvc commit: {last_output(committed, '.dvc')}")
    return f"{len(results.all)} results recorded in dvc.lock. Commit it, then `dvc push`."


def restore() -> str:
    """Check that results from `dvc pull` or a copy are current, and set their times for Snakemake. Return what to print.

    Raises:
        InputError: if a result is missing or stale, or DVC is not set up; the message says what differs.
    """
    results = ResultsOfStudy(_study_in_use(), KnownDigests())
    changes = set_plan_times(results)
    stale = stale_results(results)
    if stale:
        lines = [*changes, *(f"{path}: {why}" for path, why in stale.items() if not changes)]
        raise InputError(
            f"{len(stale)} of {len(results.all)} results do not agree with {PARAMS} and this code. `dvc pull` fetches missing results, "
            f"and `snakemake` makes the others again.\n{_first_lines(lines)}"
        )
    return "All results are current: neither `snakemake` nor `dvc repro` has anything to do."


def _study_in_use() -> Study:
    """Return the study in params.yaml. Raise InputError if DVC is not set up for it."""
    if not Path(".dvc").is_dir() or not Path(".git").exists():
        raise InputError(
            f"{Path.cwd()}: no git and DVC repository. Run this at the top of a clone; `dvc init` makes .dvc."
        )
    study = load_study(PARAMS)
    if not NAMES.is_file() or yaml.safe_load(read_text(NAMES)) != names_for_dvc(study):
        raise InputError(
            f"{NAMES} is missing, or its folders are not those of the study in {PARAMS}. Run: endoarss use {PARAMS}."
        )
    return study


def _dvc(*arguments: str) -> subprocess.CompletedProcess[str]:
    installed = Path(sys.executable).with_name("dvc")
    program = str(installed) if installed.is_file() else shutil.which("dvc")
    if program is None:
        raise InputError(f"DVC is not installed. {HOW_TO_INSTALL}")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


def _first_lines(lines: list[str]) -> str:
    more = f"\n  and {len(lines) - _SHOWN_AT_MOST} more" if len(lines) > _SHOWN_AT_MOST else ""
    return "\n".join(f"  {line.strip()}" for line in lines[:_SHOWN_AT_MOST]) + more
