"""Make commands. A command names a function of the pipeline, which is imported when the command runs."""

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
    """Make a command that calls a function and prints what it returns: a text, a path, or a list or an iterator of them.

    Args:
        name: the command.
        calls: the function, as "package.module:function" in `pipeline`. It is called with the values of the options as keyword arguments.
        text: help of the command; its first line is shown in the help of the group too.
        example: an example without the word `endoarss`.
        options: options and arguments.
        locks: returns, from the study and the values of options, the locks that the command holds; None if it writes no file of a study.
        makes: the results of the study that it makes, as `pipeline.cli.made_by_command` names them; None if it makes none.
        of_study: whether the command has --study; the function then takes the loaded study as `study`.
    """

    def run(**values: Any) -> None:
        if_stale = bool(values.pop("if_stale", False))
        with (
            _locks_of_command(name, values, locks) if of_study else nullcontext(),
            _recorded(makes, values, if_stale) as is_stale,
        ):
            function: Any = resolve_name(f"pipeline.{calls}")
            returned = function(**values) if is_stale else _CURRENT
        for line in returned if isinstance(returned, list | Iterator) else [returned]:
            if line and isinstance(line, (str, Path)):
                print(line, flush=True)

    all_options: list[Option] = [*([_STUDY] if of_study else []), *options, *([_IF_STALE] if makes else [])]
    for option in reversed(all_options):
        option(run)
    return click.command(name, cls=Command, help=text, calls=calls, example=f"endoarss {example}", locks=locks)(run)


@contextmanager
def _locks_of_command(name: str, values: Values, locks: Locks | None) -> Iterator[None]:
    """Replace the path of the study in `values` by the loaded study, and hold the locks of the command in the block."""
    from pipeline.results.provenance import note_command
    from pipeline.study.loading import load_study

    note_command(["endoarss", *click.get_current_context().find_root().obj])
    study = load_study(values.pop("study"))
    with locks_of_command(study, name, locks(study, values)) if locks else nullcontext():
        values["study"] = study
        yield


@contextmanager
def _recorded(makes: str | None, values: Values, if_stale: bool) -> Iterator[bool]:
    """Record the results that the block makes. With `if_stale`, yield false if no result is stale; then the block makes none."""
    if makes is None:
        yield True
        return
    from pipeline.cli.made_by_command import made_by
    from pipeline.io.known_digests import KnownDigests
    from pipeline.workflow.making import are_current, making
    from pipeline.workflow.results_of_study import ResultsOfStudy

    digests = KnownDigests()
    results = ResultsOfStudy(values["study"], digests)
    made = made_by(makes, results, values)
    if if_stale and are_current(made, digests):
        yield False
        return
    upstream = [upstream for result in made for upstream in result.upstream] if values.get("again") else []
    refreshed = [result for result in upstream if result.step in _PREDICTING_STEPS]
    with making(made, digests, if_stale, refreshed):
        yield True


class AtLeast(click.ParamType):
    """The type of options that take a whole number of at least `least`. A default value is not checked."""

    name = "N"

    def __init__(self, least: int) -> None:
        self.least = least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        if isinstance(value, str) and not (value.isascii() and value.isdigit() and int(value) >= self.least):
            self.fail(f"{value!r}: expected a whole number of at least {self.least}.", param, ctx)
        return int(value)


PATH = click.Path(readable=False, path_type=Path)  # not checked here: the code that reads the file has a better message


def path_option(name: str, metavar: str, text: str, **attributes: Any) -> Option:
    """Declare an option for a file or folder, which need not exist."""
    return click.option(*name.split(), type=PATH, metavar=metavar, help=text, **attributes)


def workers_option(spared: int = 0) -> Option:
    """Declare --workers. spared: number of cores that the default leaves for this process."""
    text = "Processes besides this one (default: all cores but one)." if spared else "Processes (default: all cores)."
    return click.option("--workers", type=AtLeast(0), default=max(1, (os.cpu_count() or 1) - spared), help=text)


_PREDICTING_STEPS = ("train_cell", "merge_models")
"""Steps that write predictions, which `evaluate --again` replaces."""
_CURRENT = "Nothing to do: the result was made from the same settings, code and data."
_IF_STALE = click.option("--if-stale", is_flag=True, help="Do nothing if the result is current. Rules use this.")
_STUDY = path_option("--study", "FILE", "Study file (default: params.yaml).", default="params.yaml")
