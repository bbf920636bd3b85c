"""The command line `endoarss`, one file per group of commands: a command parses, calls the room that does the work, and prints."""

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
    epilog="`endoarss COMMAND --help` explains a command. What only rules call: `endoarss step --help`.",
    example="endoarss list --study studies/demo.yaml")
# fmt: on

# The extra that installs what a command needs; `workflow` for all others.
_EXTRAS = {**{str(one.name): "train" for one in by_hand.COMMANDS}, "report": "report", "paper": "report"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Messages, tracebacks and the command that provenance keeps are without secrets.

    Args:
        arguments: the words after `endoarss`; None takes those of this process.

    Returns:
        0 if it succeeded; 1, with a message on standard error, if what a user gave cannot be used, or the system refuses a file;
        2 if the command line itself is wrong; 130 if Ctrl-C ended it; 141 if nobody reads its output any more.
    """
    mask_tracebacks()
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with COMMANDS.make_context("endoarss", [*words] or ["--help"], obj=words) as context:
            COMMANDS.invoke(context)
        sys.stdout.flush()
        return 0
    except click.exceptions.Exit as end:
        return end.exit_code if words else 2  # without words the help is shown, which counts as an error
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

        needed = how_to_install(error, f"endoarss {_command(words)}", _EXTRAS.get(words[0], "workflow"))
        if not needed:
            raise
        return _say(needed)
    except _errors_for_people() as error:
        return _fail(words, str(error))
    except KeyboardInterrupt:
        return 130  # the exit status of a command that Ctrl-C ended


def _errors_for_people() -> tuple[type[Exception], ...]:
    """Return the errors whose message is complete. Called only after an error, because it imports numpy."""
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
    """Return a message without control characters, which files and headers may hold."""
    return "".join(one if one.isprintable() or one == "\n" else ascii(one)[1:-1] for one in text)
