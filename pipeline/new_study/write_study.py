"""The command `endoarss new`: write a study for your own frames, and report the findings and the next command."""

from __future__ import annotations

import sys
from pathlib import Path

from pipeline.new_study.new_study import new_study


def write_study(name: str, images: Path, masks: Path, labels: Path | None, overwrite: bool) -> list[str]:
    """Write a study with `new_study`; on a terminal, ask the user for facts that the files do not give.

    Returns:
        Lines with the facts that the files give, the facts that the user must decide, and the next command.
    """
    on_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    study = new_study(name, images, masks, labels, overwrite, _ask if on_terminal else None)
    written = f"{study.path}: written. Next: snakemake --cores 2 --configfile {study.path}"
    return [*study.found, *study.unknown, written]


def _ask(question: str) -> str:
    try:
        return input(question)
    except EOFError:
        return ""
