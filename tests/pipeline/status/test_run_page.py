"""What a run of Snakemake looks like, in a terminal and in a file, and what its last lines say."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.errors import InputError
from pipeline.results.paths import paper_pdf, report_file, results_file, table_files
from pipeline.status import run_end
from pipeline.status.run_jobs import RunJobs, reason_of
from pipeline.status.run_page import RunPage
from pipeline.study.loading import make_study
from pipeline.study.models import Study

ROOT = Path(__file__).parents[3]
CELL = "mtlesd/resnet/hps/equal/r4-s0"
LOG = f"results/toy/logs/train_cell/{CELL}.log"
SNAKEMAKE_SAYS = f"CalledProcessError in models.smk:\nCommand 'python train > {LOG} 2>&1' "


class Terminal(io.StringIO):
    """A file that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Run:
    """A run that sends the events of Snakemake to a page."""

    def __init__(self, study: Study, file: io.StringIO) -> None:
        self.file = file
        self.own = logging.StreamHandler(file)
        self.page = RunPage(study, self.own)

    def send(self, message: str, event: str | None = None, level: int = logging.INFO, **about: Any) -> None:
        record = logging.LogRecord("snakemake.logging", level, "", 0, message, None, None)
        vars(record).update(about | ({"event": event} if event else {}))
        self.page.handle(record)

    def plan(self, **jobs: int) -> None:
        self.send("Building DAG of jobs...")
        self.send("Job stats: ...", "run_info", stats={**jobs, "all": 1, "total": sum(jobs.values()) + 1})

    def begin(self, number: int, rule: str, log: str, **wildcards: str) -> None:
        about = {"wildcards": wildcards, "log": [log]}
        self.send("Rule", "job_info", jobid=number, rule_name=rule, **about)

    def finish(self, number: int) -> None:
        self.send("Finished", "job_finished", job_id=number)

    def fail(self, number: int, ended: str) -> None:
        self.send(f"RuleException:\n{SNAKEMAKE_SAYS}{ended}", "error", logging.ERROR)
        self.send("Error in rule", "job_error", logging.ERROR, jobid=number)

    def lines(self) -> list[str]:
        return self.file.getvalue().splitlines()


@pytest.fixture
def study(minimal: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.chdir(tmp_path)
    return make_study(minimal())


@pytest.fixture
def run(study: Study) -> Run:
    """A run without a terminal."""
    return Run(study, io.StringIO())


def write(path: str | Path, text: str = "") -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


def test_a_finished_job_is_a_line_and_the_end_says_what_was_made_and_where(run: Run, study: Study) -> None:
    files = [report_file(study), results_file(study), *table_files(study)]
    for path in files:
        write(path)
    run.plan(train_cell=1, make_page=1)
    run.begin(1, "train_cell", LOG, cell=CELL)
    run.finish(1)
    run.begin(2, "make_page", "make_page.log")
    run.finish(2)
    for number, target in enumerate(("all", "models"), 8):
        run.begin(number, target, "")
        run.finish(number)
    run.page.say_made()
    run.send("Complete log(s): /somewhere")
    assert run.lines() == [
        "Study toy: 2 jobs.",
        f"[1/2] train_cell {CELL} (0 s)",
        "[2/2] make_page (0 s)",
        "Study toy: 2 jobs done in 0 s.",
        "  page     results/toy/report/index.html",
        f"  tables   results/toy/tables ({len(set(table_files(study)))} files)",
        "  results  results/toy/results.parquet (0 of 1 models)",
    ]


def test_a_run_for_one_file_names_nothing_that_it_did_not_make(run: Run, study: Study) -> None:
    for path in (report_file(study), paper_pdf(study)):
        write(path)
    run.plan(compile_paper=1)
    run.begin(1, "compile_paper", "compile_paper.log")
    run.finish(1)
    run.page.say_made()
    assert run.lines()[-2:] == ["Study toy: 1 job done in 0 s.", "  PDF      results/toy/paper/paper.pdf"]


def test_where_nothing_is_to_be_done_two_lines_say_so(run: Run, study: Study) -> None:
    write(report_file(study))
    run.send("Building DAG of jobs...")
    run.send("Nothing to be done (all requested files are present and up to date).")
    run.page.close()
    assert run.lines() == [
        "Nothing to be done: all results of study toy are current.",
        "Open results/toy/report/index.html",
    ]


def test_the_last_lines_of_a_failed_training_are_its_cell_the_reason_and_the_log(run: Run) -> None:
    write(
        LOG, f"{CELL}:  50%|#####     | 1/2 [00:01<00:01]\nendoarss train: {CELL}: the loss is\nnot finite. Lower it.\n"
    )
    run.plan(train_cell=1, evaluate_cell=1, build_dataset=1)
    run.begin(3, "build_dataset", "", dataset="mtlesd")
    run.finish(3)
    run.begin(1, "train_cell", LOG, cell=CELL)
    run.fail(1, "returned non-zero exit status 1.")
    run.send("Exiting because a job execution failed. Look above for error messages", level=logging.ERROR)
    run.page.say_failures()
    run.send("WorkflowError:\nAt least one job did not complete successfully.", "error", logging.ERROR)
    assert f"[1/3] FAILED train_cell {CELL}: the loss is not finite. Lower it." in run.lines()
    assert "Study toy: 1 job done in 0 s, 1 failed, 1 left." in run.lines()
    assert run.lines()[-3:] == [
        f"failed: train_cell {CELL}",
        "reason: the loss is not finite. Lower it.",
        f"log:    {LOG}",
    ]


def test_a_step_without_a_cell_fails_in_the_same_words(run: Run) -> None:
    log = "results/toy/logs/build_dataset/mtlesd.log"
    write(log, "endoarss step build_dataset: data/raw/esd/1.png: not a picture.\n")
    run.plan(build_dataset=1)
    run.begin(1, "build_dataset", log, dataset="mtlesd")
    run.fail(1, "returned non-zero exit status 1.")
    run.page.say_failures()
    expected = ["failed: build_dataset mtlesd", "reason: data/raw/esd/1.png: not a picture.", f"log:    {log}"]
    assert run.lines()[-3:] == expected


def test_what_cannot_be_read_at_the_end_is_said_and_raises_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(*_: object) -> list[str]:
        raise InputError("metrics.json: not JSON.")

    monkeypatch.setattr(run_end, "success", unreadable)
    run.plan(train_cell=1)
    run.page.say_made()
    assert run.lines()[-1] == "metrics.json: not JSON."


def test_a_job_that_succeeds_when_tried_again_has_not_failed(run: Run) -> None:
    run.plan(train_cell=1)
    for _ in range(2):
        run.begin(1, "train_cell", LOG, cell=CELL)
        run.fail(1, "returned non-zero exit status 1.")
    run.begin(1, "train_cell", LOG, cell=CELL)
    run.finish(1)
    run.page.say_failures()
    assert not [line for line in run.lines()[2:] if line.startswith("failed")]


def test_a_run_that_somebody_stops_says_so(run: Run) -> None:
    run.plan(train_cell=2)
    run.begin(1, "train_cell", LOG, cell=CELL)
    run.send("Terminating processes on user request, this might take some time.")
    run.page.say_failures()
    assert run.lines()[1].startswith("Terminating processes")
    assert run.lines()[3:] == [
        "Study toy: 0 jobs done in 0 s, then it was stopped, 2 left.",
        "Run the same command again: it goes on from here.",
    ]


@pytest.mark.parametrize(
    ("log", "ended", "reason"),
    [
        ("endoarss train: one\nendoarss step make_page: two\n  three", "", "two three"),
        ("Traceback\nValueError: bad\n  0%|  | 0/2", "exit status 1", "ValueError: bad"),
        ("  0%|  | 0/2", "died with <Signals.SIGKILL: 9>", "The job was killed, perhaps because the memory ran out."),
        ("  0%|  | 0/2", "returned non-zero exit status 130", "The job was stopped."),
        (
            "  0%|  | 0/2",
            "returned non-zero exit status 3",
            "The job left no message: returned non-zero exit status 3.",
        ),
        (None, "", "The job left no message."),
        ("endoarss train: red \x1b[31m", "", "red ?[31m"),
        ("endoarss train: " + "a" * 600, "", "a" * 500 + " ..."),
    ],
)
def test_the_reason_is_the_last_message_of_the_log(log: str | None, ended: str, reason: str, tmp_path: Path) -> None:
    if log is not None:
        write(tmp_path / "job.log", log)
    assert reason_of(str(tmp_path / "job.log"), ended) == reason


def test_a_killed_job_is_told_by_how_its_command_ended(run: Run) -> None:
    run.plan(train_cell=1)
    run.begin(1, "train_cell", LOG, cell=CELL)
    run.fail(1, "died with <Signals.SIGKILL: 9>.")
    run.page.say_failures()
    assert run.lines()[-2:] == [
        "reason: The job was killed, perhaps because the memory ran out.",
        f"log:    {LOG} (not written)",
    ]


def test_warnings_and_errors_of_snakemake_itself_are_shown(run: Run) -> None:
    run.plan(train_cell=1)
    run.send("Job 1 completed, but some output files are missing.", "error", logging.ERROR)
    run.send("Select jobs to execute...")
    assert run.lines()[1:] == ["Job 1 completed, but some output files are missing."]


def test_a_command_that_plans_no_run_says_what_snakemake_says(run: Run) -> None:
    run.send("Congratulations, your workflow is in a good condition!")
    run.send("LockException: another one runs", level=logging.ERROR)
    run.send("Unlocked.")
    run.page.close()
    assert [line.split(",")[0].split(":")[0] for line in run.lines()] == [
        "Congratulations",
        "LockException",
        "Unlocked.",
    ]


def test_a_terminal_shows_jobs_that_run_how_far_they_are_and_the_time_left(study: Study, monkeypatch: Any) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    write(f"results/toy/benchmarks/train_cell/{CELL}.tsv", "s\n240\n")
    write(LOG, f"{CELL}:  10%|#   | 1/10 [..]\r{CELL}:  40%|####   | 4/10 [..]")
    run = Run(study, Terminal())
    run.plan(train_cell=3)
    run.begin(1, "train_cell", LOG, cell="a")
    run.finish(1)
    run.begin(2, "train_cell", LOG, cell=CELL)
    run.page.close()
    said = run.file.getvalue()
    assert "1 of 3 jobs" in said and f"train_cell {CELL}" in said and "40 %" in said and "about 4 min left" in said
    assert "[1/3]" not in said


@pytest.mark.parametrize(("seconds", "known"), [("", False), ("s\n0.001\n", True)])
def test_a_terminal_says_that_the_time_left_is_not_known_only_then(
    seconds: str, known: bool, study: Study, monkeypatch: Any
) -> None:
    """Not if jobs take longer than earlier ones, so that no time is left."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    if seconds:
        write(f"results/toy/benchmarks/train_cell/{CELL}.tsv", seconds)
    run = Run(study, Terminal())
    run.plan(train_cell=3)
    run.begin(1, "train_cell", LOG, cell=CELL)
    run.page.close()
    assert ("time left not known yet" in run.file.getvalue()) != known


def test_the_time_left_is_unknown_while_a_rule_is(study: Study) -> None:
    jobs = RunJobs(study)
    write(f"results/toy/benchmarks/train_cell/{CELL}.tsv", "s\n100\n")
    jobs.plan({"train_cell": 2, "make_page": 1, "all": 1, "total": 4})
    assert jobs.seconds_left() is None, "nothing is known of the page"
    for number in (1, 2):
        jobs.begin(number, "train_cell", "", "")
        jobs.running[number].started -= 60
        jobs.finish(number)
    left = jobs.seconds_left()
    assert left is not None and 0 < left <= 60


def test_snakemake_itself_shows_the_page(study: Study, tmp_path: Path) -> None:
    """With its real events, hooks and exit status."""
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study.as_dict()))
    (tmp_path / "Snakefile").write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from pathlib import Path\n"
        "from pipeline.status.run_page import show_run\nfrom pipeline.study.loading import load_study\n"
        "page = show_run(load_study(Path('study.yaml')), workflow)\n"
        "onsuccess:\n    page.say_made()\nonerror:\n    page.say_failures()\n"
        "rule all:\n    input: 'a.done'\n"
        "rule make:\n    output: '{name}.done'\n    log: '{name}.log'\n"
        "    shell: 'echo endoarss train: broken. > {log}; exit 3'\n"
    )
    command = [sys.executable, "-m", "snakemake", "--cores", "1"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    said = (ended.stdout + ended.stderr).splitlines()
    assert ended.returncode == 1
    assert said[-3:] == ["failed: make a", "reason: broken.", "log:    a.log"], said
    assert "[0/1] FAILED make a: broken." in said and len(said) < 12
