"""The command line `endoarss`, one file per group of commands. A command parses its options, calls the function that does the work, and
prints what it returns."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipeline.io.one_thread import use_one_thread

use_one_thread()  # before numpy, OpenCV or torch is imported

import click

from pipeline.cli import by_hand, results, start, steps, versions
from pipeline.cli.groups import Group, explained_usage
from pipeline.redaction import mask_tracebacks, masked

# fmt: off
COMMANDS = Group(
    {"Start": start.COMMANDS, "Run by hand": by_hand.COMMANDS, "Results": results.COMMANDS,
     "Versions": versions.COMMANDS, "": [steps.STEP]}, steps.MOVED, name="endoarss",
    help="Train, evaluate, merge and compare multi-task models of endoscopic surgery: the steps of a study, by hand.",
    epilog="`endoarss COMMAND --help` explains a command. Commands that only rules call: `endoarss step --help`.",
    example="endoarss list --study studies/demo.yaml")
# fmt: on

# The extra of pip that installs the packages of a command; for all other commands it is `workflow`.
_EXTRAS = {**{str(command.name): "train" for command in by_hand.COMMANDS}, "report": "report", "paper": "report"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Secrets are masked in messages, in tracebacks, and in the command line that provenance records.

    Args:
        arguments: the words after `endoarss`; None for those of this process.

    Returns:
        The exit status: 0 for success; 1, with a message on standard error, if input cannot be used or the system refuses a file; 2 if the
        command line is wrong; 130 after Ctrl-C; 141 if the program that reads the output has ended.
    """
    mask_tracebacks()
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with COMMANDS.make_context("endoarss", [*words] or ["--help"], obj=words) as context:
            COMMANDS.invoke(context)
        sys.stdout.flush()
        return 0
    except click.exceptions.Exit as end:
        return end.exit_code if words else 2  # a command line without words shows the help, and counts as wrong
    except click.UsageError as error:
        print(_printable(masked(explained_usage(error))), file=sys.stderr)
        return 2
    except OSError as error:
        from corruptions.system_errors import READER_GONE, explained, reader_is_gone

        if reader_is_gone(error):
            return READER_GONE
        return _fail(words, explained(error, missing="Run the steps before this one, or snakemake."))
    except ModuleNotFoundError as error:
        from endoarss.missing_packages import how_to_install

        message = how_to_install(error, f"endoarss {_command(words)}", _EXTRAS.get(words[0], "workflow"))
        if not message:
            raise
        return _say(message)
    except _errors_for_people() as error:
        return _fail(words, str(error))
    except KeyboardInterrupt:
        return 130  # the exit status of a command that Ctrl-C ended


def _errors_for_people() -> tuple[type[Exception], ...]:
    """Return the errors whose message is all that a user needs. This imports numpy, so it is called only after an error."""
    from corruptions.errors import CorruptionError
    from endoarss.errors import MediaError, SettingsError, TrainingError
    from pipeline.errors import InputError
    from reports.errors import ResultsError

    return InputError, MediaError, SettingsError, TrainingError, CorruptionError, ResultsError


def _fail(words: Sequence[str], message: str) -> int:
    return _say(f"endoarss {_command(words)}: {message}")


def _command(words: Sequence[str]) -> str:
    return " ".join(words[: 2 if words[0] == "step" else 1])


def _say(message: str) -> int:
    print(_printable(masked(message)), file=sys.stderr)
    return 1


def _printable(text: str) -> str:
    """Return a message with control characters escaped, because names and headers from files may hold them."""
    return "".join(letter if letter.isprintable() or letter == "\n" else ascii(letter)[1:-1] for letter in text)
