"""The time of the workflow itself: for planning the paper's study, and Snakemake's share of a run.

    python -m benchmarks.workflow
    snakemake --cores 1 --configfile studies/demo.yaml && python -m benchmarks.workflow --finished studies/demo.yaml

Snakemake's share is the time of a run beyond the sum of its commands' times. Snakemake records these (results/<study>/benchmarks),
including the start of Python and imports. The share is only defined for runs on one core, because then no two commands overlap.
"""

from __future__ import annotations

import argparse
import csv
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from pipeline.errors import InputError
from pipeline.io.files import write_json
from pipeline.study.folders import results_folder
from pipeline.study.loading import load_study

_PLANNED = Path("studies/paper.yaml")
_RUNS = 3


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures, and save them as results/benchmarks/workflow.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--finished", type=Path, metavar="STUDY", help="the study of the last run in this folder, made on one core"
    )
    options = parser.parse_args(arguments)
    rows: dict[str, dict[str, float]] = {"planning": planning(_PLANNED)}
    plan = rows["planning"]
    print(f"Planning {_PLANNED}, {plan['jobs']:.0f} jobs: {plan['seconds']:.1f} s, {plan['peak_mib']:.0f} MiB")
    if options.finished:
        share = rows["overhead"] = overhead(options.finished)
        print(
            f"{options.finished}, {share['jobs']:.0f} jobs on one core: {share['elapsed_s']:.0f} s, commands {share['bare_s']:.0f} s, "
            f"workflow {100 * share['overhead']:.1f} % on top"
        )
    origin = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "machine": platform.machine()}
    write_json(Path("results/benchmarks/workflow.json"), {**origin, "rows": rows})


def planning(study_file: Path) -> dict[str, float]:
    """Return the median seconds and the peak memory (MiB) of a dry run of all jobs, and the number of jobs."""
    seconds, peaks, output = [], [], ""
    for _ in range(_RUNS):
        started = time.perf_counter()
        command = [sys.executable, "-m", "snakemake", "--dry-run", "--forceall", "--quiet", "rules", "--cores", "2"]
        process = subprocess.Popen(
            [*command, "--configfile", str(study_file)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        peaks.append(_peak_mib(process))
        output = process.communicate()[0]
        seconds.append(time.perf_counter() - started)
        if process.returncode:
            raise InputError(f"{study_file}: Snakemake cannot plan it.\n{output[-2000:]}")
    total = re.search(r"^total +(\d+)$", output, re.MULTILINE)
    return {"seconds": statistics.median(seconds), "peak_mib": max(peaks), "jobs": float(total[1]) if total else 0.0}


def _peak_mib(process: subprocess.Popen[str]) -> float:
    """Return the peak memory of a process and its children in MiB, sampled fifty times per second while the process runs."""
    peak, watched = 0, psutil.Process(process.pid)
    while process.poll() is None:
        try:
            peak = max(peak, sum(member.memory_info().rss for member in [watched, *watched.children(recursive=True)]))
        except psutil.NoSuchProcess:
            break
        time.sleep(0.02)
    return peak / 2**20


def overhead(study_file: Path) -> dict[str, float]:
    """Return Snakemake's share of the last complete run of a study in this folder.

    Raises:
        InputError: if the last run was not of this study, not complete, or not on one core.
    """
    logs = sorted(Path(".snakemake/log").glob("*.snakemake.log"))
    text = logs[-1].read_text(encoding="utf-8") if logs else ""
    elapsed = re.search(r"^Elapsed time: (\d+):(\d+):([\d.]+)$", text, re.MULTILINE)
    steps = re.search(r"^(\d+) of \1 steps \(100%\) done$", text, re.MULTILINE)
    if not (elapsed and steps and re.search(r"^Provided cores: 1\b", text, re.MULTILINE)):
        raise InputError(
            "the last run in this folder was not complete, or not on one core. Run: snakemake --cores 1 --forceall"
        )
    hours, minutes, seconds = elapsed.groups()
    elapsed_s = timedelta(hours=int(hours), minutes=int(minutes), seconds=float(seconds)).total_seconds()
    files = sorted((results_folder(load_study(study_file)) / "benchmarks").rglob("*.tsv"))
    jobs = int(steps[1]) - 1  # `all` does nothing
    if len(files) != jobs:
        raise InputError(
            f"{study_file}: {len(files)} jobs have recorded times, but {jobs} ran. Check that the last run is of this study."
        )
    commands_s = sum(_seconds(path) for path in files)
    return {"elapsed_s": elapsed_s, "bare_s": commands_s, "overhead": elapsed_s / commands_s - 1, "jobs": jobs}


def _seconds(path: Path) -> float:
    """Return the seconds that Snakemake recorded for a job."""
    with path.open(encoding="utf-8", newline="") as stream:
        return float(next(csv.DictReader(stream, delimiter="\t"))["s"])


if __name__ == "__main__":
    main()
