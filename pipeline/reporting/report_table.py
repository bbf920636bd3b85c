"""A table of a report, and how all of them are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline.io.files import whole_file, write_text
from reports.names import in_words
from reports.tables import scores as tables
from reports.tables.latex import to_latex


@dataclass(frozen=True)
class ReportTable:
    """A table with its title, as data and as shown; None if it is too long to be shown, and is data alone.

    of_scores: one row a model, so that the best are marked; best_within names the index levels within which rows compete. note: what a
    reader must know. protocol: of its scores; "" if it has none.
    """

    title: str
    data: pd.DataFrame
    shown: pd.DataFrame | None
    of_scores: bool = False
    note: str = ""
    best_within: tuple[str, ...] = ()
    protocol: str = ""

    @property
    def said(self) -> str:
        """What stands below the table on a page: the note, and the protocol."""
        return f"{self.note} {self.of_protocol}".strip()

    @property
    def of_protocol(self) -> str:
        """Which protocol its scores have, as a sentence; "" if it has none."""
        return f"Protocol: {in_words(self.protocol)}." if self.protocol else ""


def write_tables(found: Mapping[str, ReportTable], folder: Path, mark: str, marks: Mapping[str, object]) -> None:
    """Write tables as CSV, and those that are shown as LaTeX.

    Args:
        found: by name. folder: to write into. mark: what every caption says of the numbers. marks: last columns of every CSV.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in found.items():
        with whole_file(folder / f"{name}.csv") as whole:
            tables.write_csv(table.data, whole, {**marks, **({"protocol": table.protocol} if table.protocol else {})})
        if table.shown is not None:
            caption = " ".join(f"{table.title}. {table.of_protocol} {mark}".split())
            text = to_latex(table.shown, caption, f"tab:{name}", table.of_scores, table.best_within, note=table.note)
            write_text(folder / f"{name}.tex", text)
