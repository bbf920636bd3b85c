"""Define commands whose help ends with an example, groups of commands in titled sections, and messages about invalid command lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import click


class Command(click.Command):
    """A command whose help ends with an example.

    Attributes:
        example: a complete command line.
        calls: the function that does the work, as "package.module:function" in `pipeline`.
        locks: as for `pipeline.cli.commands.command`.
    """

    def __init__(self, example: str, calls: str = "", locks: Any = None, **named: Any) -> None:
        super().__init__(**named)
        self.example, self.calls, self.locks = example, calls, locks

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words of a command line; an error about them names this command."""
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
    """A group of commands in sections. The help leaves out sections without a title. Users may write - for _ in names.

    Attributes:
        sections: the commands by title.
        moved: the present name of each old name.
    """

    def __init__(self, sections: Mapping[str, Sequence[Command]], moved: Mapping[str, str] | None = None, **named: Any):
        super().__init__(**named)
        self.sections, self.moved = sections, moved or {}
        self.commands = {str(command.name): command for commands in sections.values() for command in commands}

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str, click.Command, list[str]]:
        """Return a command by its name. For an unknown name, raise an error that suggests a command."""
        name = args[0].replace("-", "_")
        if name in self.commands:
            return name, self.commands[name], args[1:]
        if name in self.moved:
            raise click.UsageError(f"{ctx.command_path} {args[0]} is now {self.moved[name]}.", ctx)
        inner = next(
            (group for group in self.commands.values() if isinstance(group, Group) and name in group.commands), None
        )
        if inner is not None:
            raise click.UsageError(
                f"{ctx.command_path} {args[0]} is called {ctx.command_path} {inner.name} {name}.", ctx
            )
        raise click.UsageError(f"{ctx.command_path}: {unknown('command', args[0], self.commands)}", ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each section under its title, one line per command."""
        for title, commands in self.sections.items():
            if title:
                with formatter.section(title):
                    rows = [(str(command.name), command.get_short_help_str(formatter.width)) for command in commands]
                    formatter.write_dl(rows)


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Return a message about an unknown name, with a suggestion and the known names."""
    names = list(known)
    similar = get_close_matches(name, names, n=1)
    suggestion = f" Did you mean {similar[0]}?" if similar else ""
    return f"no {kind} {name!r}.{suggestion} Known: {', '.join(names)}."


def explained_usage(error: click.UsageError) -> str:
    """Return a message about an invalid command line, with an example of the command."""
    context, message = error.ctx, error.format_message()
    assert context is not None and isinstance(context.command, Command), "see Command.parse_args"
    advice = f"More: {context.command_path} --help"
    if isinstance(context.command, Group):
        return f"{message}\n{advice}"
    if isinstance(error, click.NoSuchOption):
        parameters = context.command.get_params(context)
        options = [name for parameter in parameters for name in parameter.opts if name.startswith("-")]
        message = unknown("option", error.option_name, options)
    elif isinstance(error, click.BadParameter) and error.param is not None:
        parameter = error.param
        name = parameter.opts[0] if isinstance(parameter, click.Option) else parameter.human_readable_name
        message = f"{name}: {'missing.' if isinstance(error, click.MissingParameter) else error.message}"
    elif message.startswith("Got unexpected extra argument"):
        message += " Studies are given as --study FILE." * any(
            "--study" in option.opts for option in context.command.params
        )
    return f"{context.command_path}: {message}\nExample: {context.command.example}\n{advice}"
