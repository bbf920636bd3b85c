"""The page of commands is that of the commands as they are, and names every option."""

from __future__ import annotations

from pathlib import Path

from pipeline.cli import COMMANDS
from pipeline.cli.reference import PAGE, commands_page

ROOT = Path(__file__).parents[3]


def test_the_page_is_that_of_the_commands() -> None:
    advice = "run `python -m pipeline.cli.reference` and commit what it writes"
    assert (ROOT / PAGE).read_text(encoding="utf-8") == commands_page(), advice


def test_every_command_and_option_stands_there() -> None:
    page = commands_page()
    for title, commands in COMMANDS.sections.items():
        for command in commands if title else []:
            section = page.split(f"### endoarss {command.name}\n")[1].split("\n### ")[0]
            assert all(
                parameter.opts[0] in section for parameter in command.params if parameter.opts[0].startswith("-")
            )
    assert all(f"### corruptions {name}\n" in page for name in ("apply", "sheet", "list"))
