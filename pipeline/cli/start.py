"""Declare the commands to start with: write a study, check its data, list its content."""

from __future__ import annotations

import click

from pipeline.cli.commands import command, path_option, workers_option
from pipeline.cli.groups import Command


# fmt: off
def doctor(name: str, example: str, makes: str | None = None) -> Command:
    """Make a command that checks raw trees. makes: name of its result, or None for the command by hand, whose report is not recorded."""
    return command(
        name, "preparation.check_sources:doctor", "Report what is missing or wrong in a study's raw trees.", example,
        click.option("--dataset", "datasets", multiple=True, metavar="NAME", help="Check only this dataset (repeatable)."),
        click.option("--deep", is_flag=True, help="Decode every image and mask, not only a sample of each folder."),
        path_option("--json json_file", "FILE", "Also write the report as JSON."),
        path_option("--export-split split_file", "CSV", "Write a list of frames with their splits."),
        workers_option(), makes=makes)


COMMANDS = [
    command(
        "new", "new_study.write_study:write_study", "Write a study for images and masks of your own.",
        "new my_frames --images frames/images --masks frames/masks --labels frames/labels.csv",
        click.argument("name"),
        path_option("--images", "DIR", "Folder of the images; subfolders are searched too.", required=True),
        path_option("--masks", "DIR", "Folder of the masks of these images.", required=True),
        path_option("--labels", "CSV", "List of the frames, with or without activities."),
        click.option("--overwrite", is_flag=True, help="Replace the study of this name."),
        of_study=False),
    doctor("doctor", "doctor --study studies/quick.yaml --deep --json doctor.json"),
    command("list", "status.list_study:list_study", "List components and the cells of a study.",
            "list --study studies/demo.yaml"),
]
