"""The command `endoarss new`: write a study for frames of one's own, and say what was found and what comes next."""

from __future__ import annotations

import sys
from pathlib import Path

from pipeline.new_study.new_study import new_study


def write_study(name: str, images: Path, masks: Path, labels: Path | None, overwrite: bool) -> list[str]:
    """Write a study, see `new_study`; on a terminal, ask for what files do not tell.

    Returns:
        What was found, what is left to decide, and the next command, one line each.
    """
    on_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    made = new_study(name, images, masks, labels, overwrite, _ask if on_terminal else None)
    written = f"{made.path}: written. Next: snakemake --cores 2 --configfile {made.path}"
    return [*made.found, *made.unknown, written]


def _ask(question: str) -> str:
    try:
        return input(question)
    except EOFError:
        return ""
