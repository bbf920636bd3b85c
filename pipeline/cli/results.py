"""Commands that show, report, verify and clean results."""

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
    """Lock what steps write that report a study; does: what they do, as in "which makes the tables of demo"."""
    return lambda study, values: Work(f"{does} of {study.name}", [Lock(report_lock(study, step)) for step in steps])


# fmt: off
COMMANDS = [
    command(
        "status", "status.show_status:show_status_of", "Show which cells of a study are done, running, failed or pending.",
        "status --study studies/paper.yaml --all",
        click.option("--all", "every", is_flag=True, help="Print a line for each cell."),
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        click.option("--estimate", is_flag=True, help="Time each model on this machine and estimate disk and hours.")),
    command(
        "report", "reporting.make_report:make_report", "Write tables, figures, page and paper of the results there are.",
        "report --study studies/demo.yaml",
        click.option("--if-gaps", is_flag=True, help="Do nothing unless some cells have results and others have none."),
        locks=report_locks("makes the report", *REPORT_STEPS), makes="report"),
    command(
        "paper", "reporting.write_paper:make_paper", "Write all tables and figures as one LaTeX document.",
        "paper --pdf --study studies/demo.yaml",
        click.option("--pdf", is_flag=True, help="Compile the document too (needs pdflatex)."),
        locks=report_locks("sets the paper", "write_paper"), makes="paper"),
    command(
        "verify", "verify.verify_study:print_verification", "Check saved results against study, data and checkpoints.\n\n"
        "It ends with 1 if results are not what these give.", "verify --study studies/demo.yaml --cells 1",
        click.option("--cells", "count", type=AtLeast(0), default=3, help="How many models predict again (default: 3)."),
        click.option("--cell", "cell_ids", multiple=True, metavar="ID", help="Predict again with this model (repeatable)."),
        click.option("--seed", type=int, default=0, help="Seed of the draw of models and conditions (default: 0)."),
        path_option("--json json_file", "FILE", "Write everything that was found as JSON as well."),
        workers_option()),
    command(  # takes its locks itself, because it does not wait
        "clean", "cleaning.clean_study:clean_study", "Show which files nobody needs any more; with --yes delete them.",
        "clean --shared --yes",
        click.option("--yes", is_flag=True, help="Delete the listed files."),
        click.option("--shared", is_flag=True, help="Also datasets and raw trees that no study in use needs."),
        click.option("--results", is_flag=True, help="All results of the study.")),
]
