"""The jobs of a study, as Snakemake plans them: asked of Snakemake itself, so that nothing is listed twice."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from corruptions.system_errors import explained
from pipeline.errors import InputError

# How Python shows an error of the system, with the file where it has one.
_REFUSED = re.compile(r"(?:\w+Error:|unexpected error -) \[Errno (\d+)\] [^\n:]*(?:: '([^'\n]+)')?")
HOW_TO_INSTALL = (
    "It belongs to the extra `workflow`: pip install -e '.[workflow]', or make setup, which installs everything."
)
_JOB = re.compile(r"(?m)^(?:local)?rule (\w+):\n((?:    .+\n)+)")


@dataclass(frozen=True)
class Job:
    """One job: its rule, its wildcards, and the files that it reads and writes, relative to the working folder."""

    rule: str
    wildcards: dict[str, str] = field(hash=False)
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def name(self) -> str:
        """The rule, and what tells the job from others of it, e.g. train_cell-mtlesd-resnet-mmoe-db_mtl-r4-s0."""
        key = "-".join(self.wildcards.values()).replace("/", "-")
        return f"{self.rule}-{key}" if key else self.rule


def planned_jobs(study_file: Path) -> list[Job]:
    """Every job of a study, whether it was run or not, those that write nothing left out.

    Raises:
        InputError: with what Snakemake says, if it cannot plan.
    """
    plan = snakemake("--dry-run", "--forceall", "--configfile", str(study_file))
    if plan.returncode:
        raise InputError(f"{study_file}: Snakemake cannot plan it.\n{last_words(plan)}")
    return read_plan(plan.stdout)


def read_plan(text: str) -> list[Job]:
    """The jobs that a dry run lists, in order of their names."""
    jobs = {}
    for rule, block in _JOB.findall(text):
        about = dict(re.findall(r"(?m)^    (\w+): (.*)$", block))
        if "output" in about:
            wildcards = dict(pair.split("=", 1) for pair in _split(about.get("wildcards", "")))
            job = Job(rule, wildcards, _split(about.get("input", "")), _split(about["output"]))
            jobs[job.name] = job
    return [jobs[name] for name in sorted(jobs)]


def pending_outputs() -> list[str]:
    """What Snakemake would still make of the study in params.yaml, each with the reason.

    Raises:
        InputError: with what Snakemake says, if it cannot plan.
    """
    summary = snakemake("--summary")
    if summary.returncode:
        raise InputError(f"params.yaml: Snakemake cannot plan it.\n{last_words(summary)}")
    rows = [line.split("\t") for line in summary.stdout.splitlines() if line.count("\t") == 5]
    due = [(row[0], row[4]) for row in rows[1:] if row[5] != "no update" or row[4] == "missing"]
    due.sort(key=lambda one: one[1] != "missing")  # what is missing first
    return [f"{name}: {'follows from others' if status == 'ok' else status}" for name, status in due]


def snakemake(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Snakemake on one core in the working folder, its output captured.

    Raises:
        InputError: if it is not installed.
    """
    if find_spec("snakemake") is None:
        raise InputError(f"Snakemake is not installed. {HOW_TO_INSTALL}")
    command = [sys.executable, "-m", "snakemake", *arguments, "--cores", "1"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def last_words(run: subprocess.CompletedProcess[str], own: str = ".snakemake") -> str:
    """The end of what a failed program said; in a sentence, what the system refused it.

    Args:
        run: of the program. own: the folder that it keeps its own files in, which it does not name.
    """
    said = (run.stdout + run.stderr).strip()
    refused = [(int(number), path) for number, path in _REFUSED.findall(said) if int(number) != errno.ENOENT]
    if refused:
        number, path = refused[-1]
        return explained(OSError(number, os.strerror(number), path or own))
    return "\n".join(said.splitlines()[-12:])


def _split(listed: str) -> tuple[str, ...]:
    return tuple(listed.split(", ")) if listed else ()
