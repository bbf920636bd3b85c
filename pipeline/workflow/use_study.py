"""Make a study the one that `snakemake` and `dvc repro` run: params.yaml and dvc.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import InputError
from pipeline.io.files import read_text, write_if_changed
from pipeline.study.loading import load_study
from pipeline.study.text import read_study_text
from pipeline.workflow.dvc_stages import check_mark, stages_text
from pipeline.workflow.snakemake_jobs import planned_jobs

PARAMS = Path("params.yaml")
STAGES = Path("dvc.yaml")


def use(path: Path, check: bool) -> str:
    """Make a study the one that runs, see `use_study`, and say so; with `check` only compare, see `check_stages`.

    Raises:
        InputError: as these.
    """
    if check:
        check_stages()
        return f"{STAGES} is of {PARAMS}."
    return f"{PARAMS} is {path}; {STAGES} has its {use_study(path)} stages."


def use_study(path: Path) -> int:
    """Copy a study to params.yaml, comments included, and write its stages to dvc.yaml; neither is touched if it says the same.

    Returns:
        How many stages there are.

    Raises:
        InputError: if the study is not valid or cannot be planned; nothing is written then.
    """
    text, stages = read_text(path), stages_of(path)
    write_if_changed(PARAMS, text)
    write_if_changed(STAGES, stages)
    return len(yaml.safe_load(stages)["stages"])


def stages_of(path: Path) -> str:
    """What dvc.yaml holds of a study.

    Raises:
        InputError: as `use_study`.
    """
    study = load_study(path)
    given: dict[str, Any] = read_study_text(path)
    return stages_text(study, given, planned_jobs(path))


def check_stages() -> None:
    """Compare dvc.yaml with the study in params.yaml, and leave the mark that stages wait for.

    Raises:
        InputError: if they differ, with what to do.
    """
    if not STAGES.is_file() or read_text(STAGES) != stages_of(PARAMS):
        raise InputError(
            f"{STAGES} is not what {PARAMS} and the rules now ask for: cells, settings or files of code came or went. "
            f"Run `endoarss use {PARAMS}`, then go on."
        )
    study = load_study(PARAMS)
    # The same text every time: what comes after the check does not run again because of it.
    write_if_changed(Path(check_mark(study)), f"{STAGES} is of the study {study.name}.\n")
