"""Show a Snakemake run in place of Snakemake's own messages: a live page in a terminal, or one line per finished job in a file.

Snakemake's messages stay in its log file. `snakemake --printshellcmds`, `--verbose` and `--dry-run` print them as usual.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from pipeline.errors import InputError
from pipeline.status import run_end
from pipeline.status.run_jobs import RunJobs, reason_of
from pipeline.status.timing import duration
from pipeline.study.models import Study

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.live import Live

_NOTHING = "Nothing to be done"
# These messages of Snakemake are not printed, because the last lines of the run give the same information and the reason.
_REPLACED = ("Exiting because a job execution failed", "At least one job did not complete", "CalledProcessError")
_STOPPED = ("Terminating processes on user request", "Will exit after finishing currently running jobs")
_ENDED = re.compile(r"(?:returned non-zero exit status|died with) [^\n]*?(?=\.?$)", re.MULTILINE)
_RUNNING_AT_MOST = 8  # running jobs that the page shows; a cluster may run hundreds


def show_run(study: Study, workflow: Any) -> RunPage:
    """Show the run of a workflow, unless the user asked Snakemake for its own messages, for none, or for those of a plugin.

    Args:
        study: the study that runs.
        workflow: Snakemake's object of this name, which a Snakefile can use.

    Returns:
        The page. The Snakefile calls its `say_made` or `say_failures` when the run ends.
    """
    logger, options = logging.getLogger("snakemake.logging"), workflow.output_settings
    snakemake_handler = next((handler for handler in logger.handlers if handler.name == "DefaultStreamHandler"), None)
    own_messages = options.dryrun or options.printshellcmds or options.verbose or options.debug_dag or options.quiet
    if not isinstance(snakemake_handler, logging.StreamHandler) or own_messages or not workflow.is_main_process:
        snakemake_handler = None
    page = RunPage(study, snakemake_handler)
    logger.addHandler(page)
    if snakemake_handler:
        logger.removeHandler(snakemake_handler)
    return page


class RunPage(logging.Handler):
    """Receives the events and messages of a run. Messages before jobs are planned are held back, and printed if no run follows."""

    def __init__(self, study: Study, snakemake_handler: logging.StreamHandler[Any] | None) -> None:
        """Make the page.

        Args:
            study: the study that runs.
            snakemake_handler: the handler that the page replaces; None if the page only counts jobs and prints the last lines.
        """
        super().__init__()
        self._study, self._snakemake_handler = study, snakemake_handler
        self._jobs = RunJobs(study)
        self._reasons: dict[int, str] = {}
        self._held_back: list[logging.LogRecord] = []
        self._command_ends: list[str] = []
        self._planned = self._ending = False
        self._console: Console | None = None
        self._live: Live | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Handle one message or event."""
        try:
            handle = getattr(self, f"_on_{getattr(record, 'event', None) or 'message'}", None)
            if handle:
                handle(record)
            elif self._snakemake_handler and not self._planned:
                self._held_back.append(record)
        except Exception:
            self.handleError(record)

    def say_made(self) -> None:
        """Print which results the run made and where they are."""
        self._end(lambda: run_end.success(self._study, self._jobs))

    def say_failures(self) -> None:
        """Print which jobs failed, why, and where their logs are."""
        self._end(lambda: run_end.failure(self._study, self._jobs, self._reasons))

    def close(self) -> None:
        """Restore the terminal. If no run was planned, print the messages that were held back."""
        self._stop()
        self._release()
        super().close()

    def _on_run_info(self, record: logging.LogRecord) -> None:
        self._jobs.plan(vars(record)["stats"])
        self._planned = True
        self._held_back.clear()
        files = [handler.baseFilename for handler in _handlers() if isinstance(handler, logging.FileHandler)]
        log = f" Snakemake's own log: {os.path.relpath(files[0])}" if files else ""
        self._say(f"Study {self._study.name}: {run_end.count(self._jobs.total)}.{log}")
        self._start()

    def _on_job_info(self, record: logging.LogRecord) -> None:
        job = vars(record)
        subject = " ".join(map(str, job["wildcards"].values()))
        log = next(iter(job["log"]), "")
        self._jobs.begin(job["jobid"], job["rule_name"], subject, str(log))

    def _on_job_finished(self, record: logging.LogRecord) -> None:
        job = self._jobs.finish(vars(record)["job_id"])
        if job and not self._live:
            self._say(f"{self._counted()} {job.name} ({duration(job.seconds)}){self._left()}")

    def _on_job_error(self, record: logging.LogRecord) -> None:
        number = vars(record)["jobid"]
        if job := self._jobs.fail(number):
            ended = next(
                (_ENDED.search(options) for options in self._command_ends if job.log and job.log in options), None
            )
            reason = reason_of(job.log, ended[0] if ended else "").removeprefix(f"{job.subject}: ")
            self._reasons[number] = reason
            self._say(f"{self._counted()} FAILED {job.name}: {reason}", "red")

    def _on_error(self, record: logging.LogRecord) -> None:
        self._on_message(record)

    def _on_message(self, record: logging.LogRecord) -> None:
        options = record.getMessage()
        if "CalledProcessError" in options:
            self._command_ends.append(options)
        self._ending = self._ending or options.startswith((_REPLACED[0], _STOPPED[0]))
        if not self._snakemake_handler:
            return
        if options.startswith(_NOTHING):
            self._held_back.clear()
            self._say("\n".join(run_end.nothing_to_do(self._study)))
        elif record.levelno < logging.WARNING and not options.startswith(_STOPPED):
            if not self._planned:
                self._held_back.append(record)
        elif not self._planned:
            self._release()
            self._snakemake_handler.handle(record)
        elif not any(words in options for words in _REPLACED):
            self._say(options, "red" if record.levelno >= logging.ERROR else "yellow")

    def _release(self) -> None:
        waiting, self._held_back = self._held_back, []
        for record in waiting:
            if self._snakemake_handler:
                self._snakemake_handler.handle(record)

    def _end(self, lines: Callable[[], Iterable[str]]) -> None:
        """Print the last lines of the run. If a file that they need cannot be read, print that error and keep the exit status."""
        self._stop()
        self._snakemake_handler = self._snakemake_handler or logging.StreamHandler()
        try:
            self._say("\n".join(lines()))
        except (OSError, InputError) as error:
            self._say(str(error), "yellow")

    def _counted(self) -> str:
        return f"[{len(self._jobs.done):>{len(str(self._jobs.total))}}/{self._jobs.total}]"

    def _left(self) -> str:
        """Return the time left, as the end of a line; empty if it is less than a second or unknown."""
        left = self._jobs.seconds_left()
        return f", about {duration(left)} left" if left is not None and left >= 1 else ""

    def _say(self, text: str, style: str = "") -> None:
        if not self._snakemake_handler:
            return
        from rich.console import Console  # imported late, because a dry run does not need it
        from rich.text import Text

        if self._console is None:
            self._console = Console(file=self._snakemake_handler.stream)
        self._console.print(Text(text, style), soft_wrap=not self._console.is_terminal)

    def _start(self) -> None:
        if self._console is None or not self._console.is_terminal or os.environ.get("TERM") == "dumb":
            return
        from rich.live import Live

        self._live = Live(
            get_renderable=self._page, console=self._console, refresh_per_second=2, transient=True,
            redirect_stdout=False, redirect_stderr=False,
        )  # fmt: skip
        self._live.start()

    def _stop(self) -> None:
        live, self._live = self._live, None
        if live:
            live.stop()

    def _page(self) -> Group:
        """Draw the page. Another thread calls this method, so it copies the running jobs first."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        jobs, running = self._jobs, list(self._jobs.running.values())
        done = f"{len(jobs.done)} of {run_end.count(jobs.total)}, {duration(jobs.elapsed())}"
        bar = ProgressBar(jobs.total, len(jobs.done), width=30, complete_style="green")
        head = Table.grid(padding=(0, 1))
        left = ", time left not known yet" if jobs.seconds_left() is None else self._left()
        head.add_row(bar, f"{done}{'' if self._ending else left}")
        now = Table.grid(padding=(0, 2))
        for job in running[:_RUNNING_AT_MOST]:
            now.add_row(f"  {job.name}", duration(time.monotonic() - job.started), job.percent)
        if len(running) > _RUNNING_AT_MOST:
            now.add_row(f"  and {run_end.count(len(running) - _RUNNING_AT_MOST)} more")
        if self._ending:
            now.add_row("  the report is made from the existing results")
        return Group("", head, now)


def _handlers() -> list[logging.Handler]:
    return logging.getLogger("snakemake.logging").handlers
