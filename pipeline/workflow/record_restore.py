"""Between Snakemake, which makes results, and DVC, which keeps versions of them: record what was made, see what was pulled."""

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
from pipeline.workflow.plan import set_plan_times, stale_results
from pipeline.workflow.results_of_study import ResultsOfStudy
from pipeline.workflow.system_said import last_words
from pipeline.workflow.use_study import NAMES, PARAMS, names_for_dvc

HOW_TO_INSTALL = (
    "It belongs to the extra `workflow`: pip install 'endoarss[workflow]', or make setup, which installs everything."
)
_SHOWN = 8
_KEPT = (StudyOutput.CELLS, StudyOutput.MERGING, StudyOutput.REFERENCES, StudyOutput.FIGURES, StudyOutput.TABLES)
"""Folders that DVC keeps whole."""


def record() -> str:
    """Give all that Snakemake made of the study in params.yaml to DVC, so that `dvc repro` makes nothing; return what to do next.

    Raises:
        InputError: if something is still to be made, something lies among the results that the study does not have, or DVC refuses.
    """
    study = _study_in_use()
    results = ResultsOfStudy(study, KnownDigests())
    stale = stale_results(results)
    if stale:
        raise InputError(
            f"{PARAMS}: {len(stale)} results are not current. Run `snakemake --cores 2` first; what is missing and was recorded "
            f"before, `dvc checkout` brings back.\n{_some([f'{path}: {why}' for path, why in stale.items()])}"
        )
    kept = [results_folder(study) / name for name in _KEPT]
    prunable = [one.path for one in find_prunable_files(study, studies_in_use(study)).delete]
    dropped = [str(path) for path in prunable if any(path.is_relative_to(folder) for folder in kept)]
    if dropped:
        raise InputError(
            f"{results_folder(study)}: holds {len(dropped)} files or folders that the study does not have, and DVC would keep them "
            f"with it. `endoarss clean --yes` deletes them.\n{_some(dropped)}"
        )
    committed = _dvc("commit", "--force")  # not quietly: then it keeps to itself why it fails
    if committed.returncode:
        raise InputError(f"dvc commit: {last_words(committed, '.dvc')}")
    return f"{len(results.all)} results recorded in dvc.lock. Commit it, then `dvc push`."


def restore() -> str:
    """See that what `dvc pull` or a copy brought is what the study and the code ask for, and return that; tell Snakemake so.

    Raises:
        InputError: if something is missing or was made otherwise, with what differs.
    """
    results = ResultsOfStudy(_study_in_use(), KnownDigests())
    said = set_plan_times(results)
    stale = stale_results(results)
    if stale:
        lines = [*said, *(f"{path}: {why}" for path, why in stale.items() if not said)]
        raise InputError(
            f"{len(stale)} of {len(results.all)} results are not what {PARAMS} and this code ask for. `dvc pull` brings what is missing, "
            f"`snakemake` makes what differs.\n{_some(lines)}"
        )
    return "Everything is there: neither `snakemake` nor `dvc repro` has anything to do."


def _study_in_use() -> Study:
    """The study in params.yaml, after a look at whether DVC is of it too."""
    if not Path(".dvc").is_dir() or not Path(".git").exists():
        raise InputError(
            f"{Path.cwd()}: no git and DVC repository. Run this at the top of a clone; `dvc init` makes .dvc."
        )
    study = load_study(PARAMS)
    if not NAMES.is_file() or yaml.safe_load(read_text(NAMES)) != names_for_dvc(study):
        raise InputError(f"{NAMES} is not of the study in {PARAMS}: datasets came or went. Run: endoarss use {PARAMS}.")
    return study


def _dvc(*arguments: str) -> subprocess.CompletedProcess[str]:
    beside = Path(sys.executable).with_name("dvc")
    program = str(beside) if beside.is_file() else shutil.which("dvc")
    if program is None:
        raise InputError(f"DVC is not installed. {HOW_TO_INSTALL}")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


def _some(lines: list[str]) -> str:
    more = f"\n  and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    return "\n".join(f"  {line.strip()}" for line in lines[:_SHOWN]) + more
