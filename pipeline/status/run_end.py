"""Write the last lines of a Snakemake run: the results and where they are, or the failed jobs with reasons and logs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipeline.results import paths
from pipeline.results.cell_state import missing_models
from pipeline.status.run_jobs import Job, RunJobs
from pipeline.status.timing import duration
from pipeline.study.cells import models_of
from pipeline.study.models import Study

_PAGE = "make_page"  # the rule that makes the page
_LISTED_AT_MOST = 10  # number of listed failures; `endoarss status` lists all


def nothing_to_do(study: Study) -> list[str]:
    """Return the two lines of a run in which all results are current."""
    reports = [path for path in (paths.report_file(study), paths.paper_pdf(study)) if path.is_file()]
    return [
        f"Nothing to be done: all results of study {study.name} are current.",
        f"Open {' or '.join(map(str, reports))}" if reports else "`endoarss status` shows what else the study has.",
    ]


def success(study: Study, jobs: RunJobs) -> list[str]:
    """Return which results the run made and where they are. If it made the page, older tables and figures are listed too."""
    rules = {job.rule for job in jobs.done}
    models = models_of(study)
    existing = len(models) - len(missing_models(study))
    tables, figures = set(paths.table_files(study)), set(paths.figure_files(study))
    rows = [
        ("page", _PAGE, paths.report_file(study), ""),
        ("PDF", "compile_paper", paths.paper_pdf(study), ""),
        ("tables", "make_tables", paths.table_files(study)[0].parent, f" ({len(tables)} files)"),
        ("figures", "draw_figures", paths.figure_files(study)[0].parent, f" ({len(figures)} files)"),
        ("results", "collect_results", paths.results_file(study), f" ({existing} of {len(models)} models)"),
    ]
    lines = [f"Study {study.name}: {count(len(jobs.done))} done in {duration(jobs.elapsed())}."]
    for title, rule, path, count_text in rows:
        if rule in rules or (_PAGE in rules and path.exists()):
            lines.append(f"  {title:<8} {path}{count_text}")
    return lines


def failure(study: Study, jobs: RunJobs, reasons: Mapping[int, str]) -> list[str]:
    """Return the number of jobs that are done, failed and left, then each failed job with its reason and log.

    Args:
        study: the study.
        jobs: the jobs of the run.
        reasons: why jobs failed, by the number of the job.
    """
    left = jobs.total - len(jobs.done) - len(jobs.failed)
    done = f"{count(len(jobs.done))} done in {duration(jobs.elapsed())}"
    failed = f"{len(jobs.failed)} failed" if jobs.failed else "then it was stopped"
    lines = ["", f"Study {study.name}: {done}, {failed}, {left} left."]
    page = paths.report_file(study)
    if page.is_file() and _PAGE not in {job.rule for job in jobs.done}:
        lines.append(f"The report shows the existing results and what is missing: {page}")
    lines.append("Run the same command again: it goes on from here.")
    if len(jobs.failed) > _LISTED_AT_MOST:
        lines.append(f"The first {_LISTED_AT_MOST} failures; `endoarss status` lists all cells.")
    for number, job in list(jobs.failed.items())[:_LISTED_AT_MOST]:
        lines += ["", *_described(job, reasons.get(number, ""))]
    return lines


def count(jobs: int) -> str:
    """Return a number of jobs as text, e.g. "1 job"."""
    return f"{jobs} job" if jobs == 1 else f"{jobs} jobs"


def _described(job: Job, reason: str) -> list[str]:
    log = job.log if Path(job.log).is_file() else f"{job.log or 'none'} (not written)"
    return [f"failed: {job.name}", f"reason: {reason}", f"log:    {log}"]
