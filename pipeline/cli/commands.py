"""Make commands. Each names a function of the pipeline, which is imported when the command runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.groups import Command
from pipeline.locking.command_locks import Work, locks_of_command

if TYPE_CHECKING:
    from pipeline.study.models import Study

Values = dict[str, Any]
Locks = Callable[["Study", Values], Work]
Option = Callable[[Callable[..., None]], Callable[..., None]]


def command(
    name: str,
    calls: str,
    text: str,
    example: str,
    *options: Option,
    locks: Locks | None = None,
    makes: str | None = None,
    of_study: bool = True,
) -> Command:
    """Make a command; what its function returns (a text, a path, or a list of them) is printed.

    Args:
        name: the command.
        calls: "room.module:function" below `pipeline`; it is called with the values of the options, by their names.
        text: its help; the first line stands in the help of its group.
        example: a worked example, less the word `endoarss`.
        options: options and arguments.
        locks: given the study and these values, says which locks are held meanwhile; None where nothing of a study is written.
        makes: which results of the study it makes, see `pipeline.cli.made_by_command`; None if it makes none.
        of_study: whether the function takes a study too, that of --study.
    """

    def run(**values: Any) -> None:
        if_stale = bool(values.pop("if_stale", False))
        with (
            _locks_of_command(name, values, locks) if of_study else nullcontext(),
            _making(makes, values, if_stale) as due,
        ):
            function: Any = resolve_name(f"pipeline.{calls}")
            made = function(**values) if due else _CURRENT
        for line in made if isinstance(made, list) else [made]:
            if line and isinstance(line, (str, Path)):
                print(line)

    every: list[Option] = [*([_STUDY] if of_study else []), *options, *([_IF_STALE] if makes else [])]
    for option in reversed(every):
        option(run)
    return click.command(name, cls=Command, help=text, calls=calls, example=f"endoarss {example}", locks=locks)(run)


@contextmanager
def _locks_of_command(name: str, values: Values, locks: Locks | None) -> Iterator[None]:
    """Load the study in place of its file's name, and hold the locks of the command."""
    from pipeline.results.provenance import note_command
    from pipeline.study.loading import load_study

    note_command(["endoarss", *click.get_current_context().find_root().obj])
    study = load_study(values.pop("study"))
    with locks_of_command(study, name, locks(study, values)) if locks else nullcontext():
        values["study"] = study
        yield


@contextmanager
def _making(makes: str | None, values: Values, if_stale: bool) -> Iterator[bool]:
    """Record what decides the results that the block makes; yield false if no result is stale."""
    if makes is None:
        yield True
        return
    from pipeline.cli.made_by_command import made_by
    from pipeline.io.known_digests import KnownDigests
    from pipeline.workflow.making import are_current, making
    from pipeline.workflow.results_of_study import ResultsOfStudy

    digests = KnownDigests()
    results = ResultsOfStudy(values["study"], digests)
    wanted = made_by(makes, results, values)
    if if_stale and are_current(wanted, digests):
        yield False
        return
    again = (
        [one for result in wanted for one in result.upstream if one.step in _PREDICTS] if values.get("again") else []
    )
    with making(wanted, digests, if_stale, again):
        yield True


class AtLeast(click.ParamType):
    """A whole number with a lower bound; a default value is not checked."""

    name = "N"

    def __init__(self, least: int) -> None:
        self.least = least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        if isinstance(value, str) and not (value.isascii() and value.isdigit() and int(value) >= self.least):
            self.fail(f"{value!r}: expected a whole number of at least {self.least}.", param, ctx)
        return int(value)


PATH = click.Path(readable=False, path_type=Path)  # the code that reads a file reports if it cannot


def path_option(name: str, metavar: str, text: str, **attributes: Any) -> Option:
    """Declare an option for a file or folder, which need not exist."""
    return click.option(*name.split(), type=PATH, metavar=metavar, help=text, **attributes)


def workers_option(spared: int = 0) -> Option:
    """Declare --workers; spared: cores that are left for this process."""
    text = "Processes next to this one (default: all cores but one)." if spared else "Processes (default: all cores)."
    return click.option("--workers", type=AtLeast(0), default=max(1, (os.cpu_count() or 1) - spared), help=text)


_PREDICTS = ("train_cell", "merge_models")
"""Steps that write predictions, which `evaluate --again` replaces."""
_CURRENT = "Nothing to do: what lies here was made from the same settings, code and data."
_IF_STALE = click.option("--if-stale", is_flag=True, help="Do nothing if the result is current, as rules call it.")
_STUDY = path_option("--study", "FILE", "Study file (default: params.yaml).", default="params.yaml")
