"""Count the running, done and failed jobs of one Snakemake run from its events, and estimate the time left."""

from __future__ import annotations

import re
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.results.paths import StudyOutput
from pipeline.status.timing import seconds_of_benchmark
from pipeline.study.folders import results_folder
from pipeline.study.models import Study

_TARGETS = ("all", "models")  # rules that only name targets; they are not counted as jobs
_TAIL_BYTES = 20_000  # length of the end of a log that is searched for the last message
_MESSAGE = re.compile(r"^endoarss (?:step )?\w+: ", re.MULTILINE)
_EXCEPTION = re.compile(r"^[\w.]*(?:Error|Exception|Interrupt)\b.*", re.MULTILINE)
_BAR = re.compile(r"(\d+)%\|")
_LONGEST_REASON = 500  # characters


@dataclass
class Job:
    """One job: its rule, the values of its wildcards (a cell, a dataset), its log, and when it started (time.monotonic)."""

    rule: str
    subject: str
    log: str
    started: float = field(default_factory=time.monotonic)
    seconds: float = 0.0

    @property
    def name(self) -> str:
        """The rule and its cell or dataset."""
        return f"{self.rule} {self.subject}".strip()

    @property
    def percent(self) -> str:
        """The last percentage of the progress bar in the log, e.g. "40 %"; empty if the log has none."""
        percents = _BAR.findall(_tail(self.log))
        return f"{percents[-1]} %" if percents else ""


class RunJobs:
    """Counts the jobs of a run. `pipeline.status.run_page` and `pipeline.status.run_end` show the counts."""

    def __init__(self, study: Study) -> None:
        self.running: dict[int, Job] = {}
        self.done: list[Job] = []
        self.failed: dict[int, Job] = {}
        self.total = 0
        self.started = time.monotonic()
        self._benchmarks = results_folder(study) / StudyOutput.BENCHMARKS
        self._left: Counter[str] = Counter()
        self._seconds: dict[str, list[float]] = defaultdict(list)

    def plan(self, stats: Mapping[str, int]) -> None:
        """Note the number of jobs of each rule, and how long such jobs took in earlier runs."""
        self._left = Counter({rule: count for rule, count in stats.items() if rule not in (*_TARGETS, "total")})
        self.total = self._left.total()
        for rule in self._left:
            paths = [self._benchmarks / f"{rule}.tsv", *(self._benchmarks / rule).rglob("*.tsv")]
            self._seconds[rule] = list(filter(None, map(seconds_of_benchmark, paths)))

    def begin(self, number: int, rule: str, subject: str, log: str) -> None:
        """Note that a job starts, possibly again after a failure."""
        if rule not in _TARGETS:
            self.failed.pop(number, None)
            self.running[number] = Job(rule, subject, log)

    def finish(self, number: int) -> Job | None:
        """Note that a job is done, and return it; None if it is not counted as a job."""
        job = self.running.pop(number, None)
        if job:
            job.seconds = time.monotonic() - job.started
            self._left[job.rule] -= 1
            self._seconds[job.rule].append(job.seconds)
            self.done.append(job)
        return job

    def fail(self, number: int) -> Job | None:
        """Note that a job failed, and return it; None if its failure is noted already."""
        job = self.running.pop(number, None)
        if job:
            self.failed[number] = job
        return job

    def elapsed(self) -> float:
        """Return the seconds since the run began."""
        return time.monotonic() - self.started

    def seconds_left(self) -> float | None:
        """Estimate the time left from the mean duration of each rule's jobs, and from how many jobs ran at the same time so far.

        Returns:
            Seconds until the run ends. In the first half of the run, None if the duration of a remaining rule is unknown; later its jobs
            count with the mean of all jobs.
        """
        known = {rule: statistics.fmean(durations) for rule, durations in list(self._seconds.items()) if durations}
        if 2 * len(self.done) > self.total:
            mean = statistics.fmean(job.seconds for job in self.done)
            known = dict.fromkeys(self._left, mean) | known
        left = {rule: count for rule, count in list(self._left.items()) if count > 0}
        if not left.keys() <= known.keys():
            return None
        running = list(self.running.values())
        spent = [time.monotonic() - job.started for job in running]
        work = sum(count * known[rule] for rule, count in left.items())
        work -= sum(min(seconds, known.get(job.rule, 0.0)) for job, seconds in zip(running, spent, strict=True))
        busy = sum(job.seconds for job in self.done) + sum(spent)
        at_once = max(1.0, busy / max(self.elapsed(), 1e-9))
        return max(0.0, work) / at_once


def reason_of(log: str, ended: str = "") -> str:
    """Return why a job failed: the last message of the step in its log, or else the last exception, or else how the command ended.

    Args:
        log: path of the log; empty if the job has none.
        ended: Snakemake's words for the end of the job's command, e.g. "died with <Signals.SIGKILL: 9>".
    """
    text = _tail(log)
    if messages := list(_MESSAGE.finditer(text)):
        reason = " ".join(text[messages[-1].end() :].split())
    elif exceptions := _EXCEPTION.findall(text):
        reason = exceptions[-1].strip()
    elif "SIGKILL" in ended or "exit status 137" in ended:
        reason = "The job was killed, perhaps because the memory ran out."
    elif re.search(r"SIGINT|SIGTERM|exit status 1(?:30|43)\b", ended):
        reason = "The job was stopped."
    else:
        reason = f"The job left no message{f': {ended}' if ended else ''}."
    # A log may hold control characters of a terminal.
    reason = "".join(character if character.isprintable() else "?" for character in reason)
    return reason if len(reason) <= _LONGEST_REASON else f"{reason[:_LONGEST_REASON]} ..."


def _tail(log: str) -> str:
    try:
        with Path(log).open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _TAIL_BYTES))
            return file.read().decode("utf-8", errors="replace").replace("\r", "\n")
    except OSError:
        return ""
