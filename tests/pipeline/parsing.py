"""Parses command lines of `endoarss` without running them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from pipeline.cli import COMMANDS
from pipeline.cli.groups import Command, Group
from pipeline.locking.command_locks import Work, locks_of_command
from pipeline.study.models import Study


def parsed(*words: str) -> tuple[Command, dict[str, Any]]:
    """Return the command that words name, and the values of its options by name."""
    command: click.Command = COMMANDS
    context, rest = click.Context(COMMANDS, info_name="endoarss"), list(words)
    while isinstance(command, Group):
        name, command, rest = command.resolve_command(context, rest)
        deeper = isinstance(command, Group)
        context = click.Context(command, context, name) if deeper else command.make_context(name, rest, context)
    assert isinstance(command, Command)
    return command, dict(context.params)


def work_of(study: Study, *words: str) -> Work:
    """Return what the command that words name declares."""
    command, values = parsed(*words)
    values.pop("study")
    values.pop("if_stale", None)  # which is not for the function
    work = command.locks(study, values)
    assert isinstance(work, Work)
    return work


@contextmanager
def working(study: Study, *words: str) -> Iterator[None]:
    """Hold the locks of the command that words name, as the command line does."""
    with locks_of_command(study, str(parsed(*words)[0].name), work_of(study, *words)):
        yield
