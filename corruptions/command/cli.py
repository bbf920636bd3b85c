"""Corrupt folders of images, draw contact sheets, and list the corruptions."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# The command uses several processes, each with one thread. numpy reads these variables when it is imported.
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

from corruptions.api import BACKENDS, PROFILES, backend_of, moves_pixels
from corruptions.catalogue import SEVERITIES, known_categories, known_corruptions, selected_corruptions
from corruptions.errors import CorruptionError
from corruptions.field_of_view import CORRUPT, FIELDS_OF_VIEW
from corruptions.own_modules import add_own_modules, own_corruptions
from corruptions.registry import find
from corruptions.system_errors import READER_GONE, explained, reader_is_gone

_LISTED_AT_MOST = 20  # images left out that the terminal lists; corruptions.json lists all
_INTERRUPTED = 130  # exit status of a command that Ctrl-C ended


def command_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="corruptions", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_apply(commands)
    _add_sheet(commands)
    text = "list the corruptions by category, with the backend and the parameters of each"
    listing = commands.add_parser("list", help=text, description=text)
    listing.add_argument("--json", action="store_true", help="print JSON")
    _add_components(listing)
    listing.set_defaults(run=_list)
    return parser


def _add_apply(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "corrupt every image of a folder; after an interruption, the same command continues"
    command = commands.add_parser("apply", help=text, description=text)
    command.add_argument("source", type=Path, metavar="IN", help="folder of images with 8 bits per channel")
    command.add_argument(
        "out", type=Path, metavar="OUT", help="folder for the results; new, empty, or started by an earlier run"
    )
    command.add_argument(
        "--masks", type=Path, metavar="DIR", help="folder of masks of class ids as PNG, at the same relative paths"
    )
    _add_selection(command)
    command.add_argument(
        "--severity",
        action="append",
        default=[],
        metavar="N",
        help="1 to 5; repeat the option, or separate severities by commas (default: all)",
    )
    command.add_argument("--size", type=int, metavar="N", help="resize to N x N pixels before corrupting")
    command.add_argument(
        "--only", type=Path, metavar="FILE", help="text file that lists the images to use, one path per line"
    )
    command.add_argument(
        "--set",
        action="append",
        default=[],
        dest="parameters",
        metavar="NAME.PARAMETER=VALUE",
        help="set a parameter of one corruption, such as smoke.mean_transmission=0.5; see `corruptions list`",
    )
    command.add_argument(
        "--workers", type=int, default=_cores(), metavar="N", help="number of processes (default: one per core)"
    )
    command.set_defaults(run=_apply)


def _add_sheet(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "draw one image with every corruption at every severity"
    command = commands.add_parser("sheet", help=text, description=text)
    command.add_argument("image", type=Path, metavar="IMAGE", help="an image with 8 bits per channel")
    command.add_argument(
        "--out", type=Path, default=Path("sheet.png"), metavar="PNG", help="file to write (default: sheet.png)"
    )
    _add_selection(command)
    command.add_argument(
        "--size", type=int, default=192, metavar="N", help="longer side of a tile in pixels (default: 192)"
    )
    command.add_argument(
        "--working-size",
        type=int,
        default=224,
        metavar="N",
        help="shorter side in pixels to which the image is reduced before it is corrupted; 0 keeps its size (default: 224)",
    )
    command.set_defaults(run=_sheet)


def _add_components(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--components",
        action="append",
        default=[],
        metavar="MODULE",
        help="a module of yours that registers corruptions, on the Python path or in the working directory; repeat for several",
    )


def _add_selection(command: argparse.ArgumentParser) -> None:
    _add_components(command)
    command.add_argument(
        "--corruption",
        action="append",
        default=[],
        metavar="NAME",
        help="names, categories or standard; repeat the option, or separate them by commas (default: all)",
    )
    command.add_argument(
        "--field-of-view",
        choices=FIELDS_OF_VIEW,
        default=CORRUPT,
        help="keep: the black area around a round view stays black (default: corrupt)",
    )
    command.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the random details (default: 0)")
    command.add_argument(
        "--profile",
        choices=PROFILES,
        default="standard",
        help="authors_code: do what the paper's script does (default: standard)",
    )
    command.add_argument(
        "--backend",
        choices=BACKENDS,
        default="auto",
        help="fast: this library's own; reference: imagecorruptions (default: auto)",
    )


def _cores() -> int:
    """Return the number of cores that this process may use; a container or a scheduler may grant only some of the machine's cores."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _apply(arguments: argparse.Namespace) -> int:
    from corruptions.command.apply import SETTINGS_FILE, Settings, apply_to_folder

    settings = Settings(
        _names(arguments),
        _listed_values(arguments.severity, SEVERITIES),
        arguments.seed,
        arguments.profile,
        arguments.backend,
        arguments.size,
        _parameters(arguments.parameters),
        arguments.field_of_view,
        tuple(arguments.components),
    )
    outcome = apply_to_folder(
        arguments.source, arguments.out, settings, arguments.masks, arguments.only, arguments.workers
    )
    usable = outcome.pictures - len(outcome.left_out)
    print(
        f"{arguments.out}: {usable} images, {len(settings.corruptions)} corruptions, {len(settings.severities)} "
        f"severities; this run wrote {outcome.written} files."
    )
    if outcome.left_out:
        print(
            f"corruptions apply: {len(outcome.left_out)} of {outcome.pictures} images were left out; the others are complete:",
            *outcome.left_out[:_LISTED_AT_MOST],
            *(
                [f"and others; {arguments.out / SETTINGS_FILE} lists all."]
                if len(outcome.left_out) > _LISTED_AT_MOST
                else []
            ),
            sep="\n  ",
            file=sys.stderr,
        )
    return 1 if outcome.left_out else 0


def _names(arguments: argparse.Namespace) -> tuple[str, ...]:
    """Return the corruptions that the options name. Without names, return those that profile and backend have, and print the others."""
    known = known_corruptions()
    if arguments.corruption:
        entries = [name.strip() for text in arguments.corruption for name in text.split(",") if name.strip()]
        return tuple(sorted(selected_corruptions(entries), key=known.index))
    if arguments.profile == "authors_code" and arguments.backend == "fast":
        raise CorruptionError("the profile 'authors_code' needs the backend 'reference'; leave out --backend.")
    names = tuple(name for name in known if _is_available(name, arguments.profile, arguments.backend))
    if len(names) < len(known):
        absent = ", ".join(name for name in known if name not in names)
        print(f"profile {arguments.profile}, backend {arguments.backend}: not available: {absent}.")
    return names


def _is_available(name: str, profile: str, backend: str) -> bool:
    """Return whether profile and backend have a corruption."""
    try:
        backend_of(name, backend, profile)
    except CorruptionError:
        return False
    return True


def _listed_values(texts: Sequence[str], known: Sequence[Any]) -> tuple[Any, ...]:
    """Return the values that an option lists, in the order of `known`; unknown values come last and are refused later."""
    if not texts:
        return tuple(known)
    by_name = {str(value): value for value in known}
    names = dict.fromkeys(name.strip() for text in texts for name in text.split(",") if name.strip())
    listed = [by_name.get(name, name) for name in names]
    return tuple(sorted(listed, key=lambda value: known.index(value) if value in known else len(known)))


def _parameters(texts: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the values of NAME.PARAMETER=VALUE by corruption and parameter."""
    parameters: dict[str, dict[str, Any]] = {}
    for text in texts:
        target, equals, value = text.partition("=")
        name, dot, parameter = target.partition(".")
        if not (equals and dot and name and parameter and value):
            raise CorruptionError(f"--set {text}: expected NAME.PARAMETER=VALUE, such as smoke.mean_transmission=0.5.")
        parameters.setdefault(name, {})[parameter] = _number_or_text(value)
    return parameters


def _number_or_text(value: str) -> int | float | str:
    """Return a value as int or float if it is written as one, otherwise as text."""
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


def _sheet(arguments: argparse.Namespace) -> int:
    from corruptions.command.sheet import draw_sheet

    names = _names(arguments)
    draw_sheet(
        arguments.image,
        arguments.out,
        names,
        seed=arguments.seed,
        profile=arguments.profile,
        backend=arguments.backend,
        tile=arguments.size,
        working_size=arguments.working_size,
        field_of_view=arguments.field_of_view,
    )
    print(f"{arguments.out}: {arguments.image.name} with {len(names)} corruptions.")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    if arguments.json:
        print(json.dumps([_description(name) for name in known_corruptions()], indent=2))
        return 0
    for category, names in known_categories().items():
        print(category)
        for description in map(_description, names):
            notes = [description["backend"]]
            notes += ["moves pixels and the mask"] if description["moves_pixels"] else []
            notes += ["your own"] if description["own"] else []
            notes += [f"parameters: {', '.join(description['parameters'])}"] if description["parameters"] else []
            print(f"  {description['name']:<20}{'; '.join(notes)}")
    return 0


def _description(name: str) -> dict[str, Any]:
    corruption = find(name)
    return {
        "name": name,
        "category": corruption.category,
        "backend": backend_of(name),
        "moves_pixels": moves_pixels(name),
        "parameters": list(corruption.parameters),
        "own": name in own_corruptions(),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit status: 0 if the command succeeded; 1, with a message on standard error, if some or all of the user's input cannot be used;
        130 if Ctrl-C ended it; 141 if standard output is no longer read.
    """
    parsed = command_parser().parse_args(arguments)
    name = f"corruptions {parsed.command}"
    try:
        import cv2

        cv2.setNumThreads(1)
        add_own_modules(parsed.components)
        status = parsed.run(parsed)
        sys.stdout.flush()
        return status
    except CorruptionError as error:
        print(f"{name}: {error}", file=sys.stderr)
    except OSError as error:
        if reader_is_gone(error):
            return READER_GONE
        print(f"{name}: {explained(error)}", file=sys.stderr)
    except KeyboardInterrupt:
        print(f"{name}: interrupted.", file=sys.stderr)
        return _INTERRUPTED
    return 1


if __name__ == "__main__":
    sys.exit(main())
