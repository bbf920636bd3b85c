"""Defines the tables of a report, and writes them as CSV and LaTeX."""

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
    """A table of a report.

    Attributes:
        title: The title.
        data: The table that is saved as CSV.
        shown: The table that readers see, or None if it is too long to be shown.
        of_scores: Whether rows are models, so that the best values are highlighted.
        note: The text that a reader needs to understand the table.
        best_within: Index levels within which the best value is searched.
        protocol: Protocol of the scores, "" if the table has none.
    """

    title: str
    data: pd.DataFrame
    shown: pd.DataFrame | None
    of_scores: bool = False
    note: str = ""
    best_within: tuple[str, ...] = ()
    protocol: str = ""

    @property
    def full_note(self) -> str:
        """Return the text below the table on a page: the note and the protocol."""
        return f"{self.note} {self.protocol_note}".strip()

    @property
    def protocol_note(self) -> str:
        """Return a sentence that names the protocol, or "" if there is none."""
        return f"Protocol: {in_words(self.protocol)}." if self.protocol else ""


def write_tables(
    report: Mapping[str, ReportTable], folder: Path, caption: str, last_columns: Mapping[str, object]
) -> None:
    """Write tables as CSV, and those that are shown as LaTeX.

    Args:
        report: The tables by name.
        folder: The folder to write into.
        caption: A text on the data that every caption ends with.
        last_columns: The last columns of every CSV, with their only value.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in report.items():
        with whole_file(folder / f"{name}.csv") as whole:
            tables.write_csv(
                table.data, whole, {**last_columns, **({"protocol": table.protocol} if table.protocol else {})}
            )
        if table.shown is not None:
            full_caption = " ".join(f"{table.title}. {table.protocol_note} {caption}".split())
            text = to_latex(
                table.shown, full_caption, f"tab:{name}", table.of_scores, table.best_within, note=table.note
            )
            write_text(folder / f"{name}.tex", text)
