"""Between Snakemake, which makes results, and DVC, which versions them: record what was made, restore what was pulled."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from pipeline.errors import InputError
from pipeline.io.files import write_text
from pipeline.study.folders import roots_of
from pipeline.study.loading import load_study
from pipeline.workflow.snakemake_jobs import HOW_TO_INSTALL, last_words, pending_outputs, snakemake
from pipeline.workflow.use_study import PARAMS, STAGES, check_stages

_SHOWN = 8


def record() -> str:
    """After a full run of Snakemake: give all that it made to DVC, so that `dvc repro` runs nothing.

    Returns:
        How many stages were recorded, and what to do next.

    Raises:
        InputError: if Snakemake would still run something, dvc.yaml is of another study, or DVC refuses.
    """
    _expect_repository()
    check_stages()
    pending = pending_outputs()
    if pending:
        raise InputError(
            f"{PARAMS}: Snakemake would still make {len(pending)} files. Run `snakemake --cores 2` first; what is missing and "
            f"was recorded before, `dvc checkout` brings back.\n{_some(pending)}"
        )
    stages = yaml.safe_load(STAGES.read_text(encoding="utf-8"))["stages"]
    for name, stage in stages.items():
        if name.startswith("code-"):
            _write_digests(Path(stage["outs"][0]), stage["deps"])
    committed = _dvc("commit", "--force")  # not quietly: then it keeps to itself why it fails
    if committed.returncode:
        raise InputError(f"dvc commit: {last_words(committed, '.dvc')}")
    return (
        f"{len(stages)} stages recorded in dvc.lock. Commit it with results/*/cells/**/metrics.json, then `dvc push`."
    )


def _write_digests(mark: Path, files: list[str]) -> None:
    """What such a stage's command writes, without a shell."""
    found = subprocess.run(["git", "hash-object", *files], capture_output=True, text=True, check=True)
    write_text(mark, found.stdout)


def restore() -> str:
    """After `dvc pull` on a fresh clone: tell Snakemake that what was pulled is what it would make, and say so.

    Raises:
        InputError: if something is not there, or is not what dvc.lock says.
    """
    _expect_repository()
    check_stages()
    changed = _changed_stages()
    if changed:
        raise InputError(
            f"what is here is not what dvc.lock says ({len(changed)} differences). `dvc pull` brings what is missing, "
            f"`dvc repro` makes what changed.\n{_some(changed)}"
        )
    touched = snakemake("--touch", "--forceall")
    if touched.returncode:
        raise InputError(f"snakemake --touch: {last_words(touched)}")
    pending = pending_outputs()
    if pending:
        raise InputError(f"Snakemake would still make {len(pending)} files.\n{_some(pending)}")
    return "Everything is there: neither `snakemake` nor `dvc repro` has anything to do."


def _changed_stages() -> list[str]:
    """What DVC holds for changed, a line a stage. Raw trees that are not here do not count: what was built from them is."""
    status = _dvc("status", "--json")
    if status.returncode:
        raise InputError(f"dvc status: {last_words(status, '.dvc')}")
    study = load_study(PARAMS)
    raw = (
        set() if study.synthetic else {str(root) for name in study.datasets for root in roots_of(study, name).values()}
    )
    lines = []
    for stage, findings in json.loads(status.stdout).items():
        for finding in findings:
            about = finding if isinstance(finding, dict) else {finding: {}}
            for kind, paths in about.items():
                found = {path: what for path, what in paths.items() if not (path in raw and what == "deleted")}
                if found or not paths:
                    named = ", ".join(f"{path} {what}" for path, what in list(found.items())[:3])
                    lines.append(f"{stage}: {kind} {named}".rstrip())
    return lines


def _expect_repository() -> None:
    if not Path(".dvc").is_dir() or not Path(".git").exists():
        raise InputError(
            f"{Path.cwd()}: no git and DVC repository. Run this at the top of a clone; `dvc init` makes .dvc."
        )
    if not STAGES.is_file():
        raise InputError(f"{STAGES}: missing. Write it: endoarss use {PARAMS}.")


def _dvc(*arguments: str) -> subprocess.CompletedProcess[str]:
    beside = Path(sys.executable).with_name("dvc")
    program = str(beside) if beside.is_file() else shutil.which("dvc")
    if program is None:
        raise InputError(f"DVC is not installed. {HOW_TO_INSTALL}")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


def _some(lines: list[str]) -> str:
    more = f"\n  and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    return "\n".join(f"  {line}" for line in lines[:_SHOWN]) + more
