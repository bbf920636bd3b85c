"""Declare the commands that show, report, verify and clean results."""

from __future__ import annotations

import click

from pipeline.cli.commands import AtLeast, Locks, command, path_option, workers_option
from pipeline.locking.command_locks import Work, report_lock
from pipeline.locking.locks import Lock

REPORT_STEPS = (
    *("collect_results", "draw_datasets", "draw_leakage", "make_tables", "draw_figures", "make_page", "write_paper"),
)
"""The steps of `endoarss report`; each has a lock of its name."""


def report_locks(does: str, *steps: str) -> Locks:
    """Return a function that returns the locks of reporting steps. does: as in "process 12, which makes the tables of demo"."""
    return lambda study, values: Work(f"{does} of {study.name}", [Lock(report_lock(study, step)) for step in steps])


# fmt: off
COMMANDS = [
    command(
        "status", "status.show_status:show_status_of", "Show which cells of a study are done, running, failed or pending.",
        "status --study studies/paper.yaml --all",
        click.option("--all", "every", is_flag=True, help="Print a line for each cell."),
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        click.option("--estimate", is_flag=True, help="Estimate disk space, then time each model on this machine (minutes on a CPU).")),
    command(
        "report", "reporting.make_report:make_report", "Write tables, figures, page and paper from the existing results.",
        "report --study studies/demo.yaml",
        click.option("--if-gaps", is_flag=True, help="Run only if some cells have results and others have none."),
        locks=report_locks("makes the report", *REPORT_STEPS), makes="report"),
    command(
        "paper", "reporting.write_paper:make_paper", "Write all tables and figures as one LaTeX document.",
        "paper --pdf --study studies/demo.yaml",
        click.option("--pdf", is_flag=True, help="Also compile it to a PDF (needs pdflatex)."),
        locks=report_locks("writes the paper", "write_paper"), makes="paper"),
    command(
        "verify", "verify.verify_study:print_verification", "Check saved results against study, data and checkpoints.\n\n"
        "The exit status is 1 if they do not agree.", "verify --study studies/demo.yaml --cells 1",
        click.option("--cells", "count", type=AtLeast(0), default=3, help="How many models predict again (default: 3)."),
        click.option("--cell", "cell_ids", multiple=True, metavar="ID", help="Predict again with this model (repeatable)."),
        click.option("--seed", type=int, default=0, help="Seed that draws models and conditions (default: 0)."),
        path_option("--json json_file", "FILE", "Also write the complete report as JSON."),
        workers_option()),
    command(  # without `locks`, because clean_study takes its locks itself and does not wait for them
        "clean", "cleaning.clean_study:clean_study", "List files that no study needs, and delete them with --yes.",
        "clean --shared --yes",
        click.option("--yes", is_flag=True, help="Delete the listed files."),
        click.option("--shared", is_flag=True, help="Include datasets and generated raw trees that no study in use needs."),
        click.option("--results", is_flag=True, help="Include all results of the study.")),
]
