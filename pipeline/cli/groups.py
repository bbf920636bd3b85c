"""Commands whose help ends with an example, groups with titles, and messages about command lines that are not valid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import click


class Command(click.Command):
    """A command whose help ends with a worked example.

    Attributes:
        example: a whole command line.
        calls: the function that does the work, below `pipeline`.
        locks: given the study and the parsed values, says which locks a run holds; None where nothing of a study is written.
    """

    def __init__(self, example: str, calls: str = "", locks: Any = None, **named: Any) -> None:
        super().__init__(**named)
        self.example, self.calls, self.locks = example, calls, locks

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, and give every error its command."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            raise

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the example last, on a line of its own that can be copied."""
        super().format_epilog(ctx, formatter)
        formatter.write(f"\nExample:\n  {self.example}\n")


class Group(Command, click.Group):
    """Commands in sections; a section without a title is not shown. Names may have hyphens or underscores.

    Attributes:
        sections: the commands by title.
        moved: what an old name is called now.
    """

    def __init__(self, sections: Mapping[str, Sequence[Command]], moved: Mapping[str, str] | None = None, **named: Any):
        super().__init__(**named)
        self.sections, self.moved = sections, moved or {}
        self.commands = {str(one.name): one for some in sections.values() for one in some}

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str, click.Command, list[str]]:
        """Return a command by its name, or raise an error that suggests one."""
        name = args[0].replace("-", "_")
        if name in self.commands:
            return name, self.commands[name], args[1:]
        if name in self.moved:
            raise click.UsageError(f"{ctx.command_path} {args[0]} is now {self.moved[name]}.", ctx)
        inner = next(
            (group for group in self.commands.values() if isinstance(group, Group) and name in group.commands), None
        )
        if inner is not None:
            raise click.UsageError(f"{ctx.command_path} {args[0]} is {ctx.command_path} {inner.name} {name}.", ctx)
        raise click.UsageError(f"{ctx.command_path}: {unknown('command', args[0], self.commands)}", ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each section under its title, one line per command."""
        for title, commands in self.sections.items():
            if title:
                with formatter.section(title):
                    formatter.write_dl([(str(one.name), one.get_short_help_str(formatter.width)) for one in commands])


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Return a message about an unknown name, with a suggestion and the known names."""
    names = list(known)
    near = get_close_matches(name, names, n=1)
    meant = f" Did you mean {near[0]}?" if near else ""
    return f"no {kind} {name!r}.{meant} Known: {', '.join(names)}."


def explained_usage(error: click.UsageError) -> str:
    """Return what is wrong with a command line, with an example of the command."""
    context, said = error.ctx, error.format_message()
    assert context is not None and isinstance(context.command, Command), "see Command.parse_args"
    more = f"More: {context.command_path} --help"
    if isinstance(context.command, Group):
        return f"{said}\n{more}"
    if isinstance(error, click.NoSuchOption):
        options = [name for one in context.command.get_params(context) for name in one.opts if name.startswith("-")]
        said = unknown("option", error.option_name, options)
    elif isinstance(error, click.BadParameter) and error.param is not None:
        parameter = error.param
        name = parameter.opts[0] if isinstance(parameter, click.Option) else parameter.human_readable_name
        said = f"{name}: {'missing.' if isinstance(error, click.MissingParameter) else error.message}"
    elif said.startswith("Got unexpected extra argument"):
        said += " Studies are given as --study FILE." * any("--study" in one.opts for one in context.command.params)
    return f"{context.command_path}: {said}\nExample: {context.command.example}\n{more}"
