"""Commands that look at results, report them, check them and clear them away."""

from __future__ import annotations

import click

from pipeline.cli.commands import AtLeast, Locks, command, path_option, workers_option
from pipeline.locking.command_locks import Work, report_lock
from pipeline.locking.locks import Lock

REPORT_STEPS = (
    *("collect_results", "draw_datasets", "draw_leakage", "make_tables", "draw_figures", "make_page", "write_paper"),
)
"""The steps that `endoarss report` does in one; each has a lock of its name."""


def report_locks(does: str, *steps: str) -> Locks:
    """Lock what steps write that report a study; does: what they do, as in "which makes the tables of demo"."""
    return lambda study, values: Work(f"{does} of {study.name}", [Lock(report_lock(study, step)) for step in steps])


# fmt: off
COMMANDS = [
    command(
        "status", "status.show_status:show_status_of", "Show what of a study is done, runs, failed or is left.",
        "status --study studies/paper.yaml --all",
        click.option("--all", "every", is_flag=True, help="Print a line for each cell."),
        click.option("--json", "as_json", is_flag=True, help="Print it as JSON."),
        click.option("--estimate", is_flag=True, help="Time each model here and say what disk and hours it takes.")),
    command(
        "report", "reporting.make_report:make_report", "Write tables, figures, page and paper of the results there are.",
        "report --study studies/demo.yaml",
        click.option("--if-gaps", is_flag=True, help="Do nothing unless a cell lacks results and another has some."),
        locks=report_locks("makes the report", *REPORT_STEPS), makes="report"),
    command(
        "paper", "reporting.write_paper:make_paper", "Write all tables and figures as one LaTeX document.",
        "paper --pdf --study studies/demo.yaml",
        click.option("--pdf", is_flag=True, help="Compile it as well (needs pdflatex)."),
        locks=report_locks("sets the paper", "write_paper"), makes="paper"),
    command(
        "verify", "verify.verify_study:print_verification", "Check saved results against study, data and checkpoints.\n\n"
        "It ends with 1 if results are not what these give.", "verify --study studies/demo.yaml --cells 1",
        click.option("--cells", "count", type=AtLeast(0), default=3, help="How many models predict again (default: 3)."),
        click.option("--cell", "chosen", multiple=True, metavar="ID", help="Predict again with this one (repeatable)."),
        click.option("--seed", type=int, default=0, help="Draws those models, and the conditions (default: 0)."),
        path_option("--json json_file", "FILE", "Write everything that was found as JSON as well."),
        workers_option()),
    command(  # takes its locks itself, for it does not wait
        "clean", "cleaning.clean_study:clean_study", "Show which files nobody needs any more; with --yes delete them.",
        "clean --shared --yes",
        click.option("--yes", is_flag=True, help="Delete it."),
        click.option("--shared", is_flag=True, help="Also datasets and raw trees that no study in use needs."),
        click.option("--results", is_flag=True, help="All results of the study.")),
]
