"""Declare the commands that use DVC for versions of results. They work on the study in params.yaml."""

from __future__ import annotations

import click

from pipeline.cli.commands import PATH, command

# fmt: off
COMMANDS = [
    command("use", "workflow.use_study:use", "Select the study that `snakemake` and `dvc repro` run.\n\n"
            "Writes params.yaml, with all defaults, and .dvc/study.yaml. STUDY is a study file, or params.yaml itself.",
            "use studies/paper.yaml", click.argument("path", type=PATH, metavar="STUDY"), of_study=False),
    command("record", "workflow.record_restore:record",
            "Record in DVC the results that Snakemake made.", "record", of_study=False),
    command("restore", "workflow.record_restore:restore",
            "Check that results from `dvc pull` or a copy are current.", "restore", of_study=False),
]
