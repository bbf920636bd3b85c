"""The class of a report's tables, and the function that writes them."""

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
        data: The table as it is written to CSV.
        shown: The table as readers see it; None if it is too long to be shown.
        of_scores: Whether rows are models, so that the best values are marked.
        note: Sentences that a reader of the table must know.
        best_within: Index levels within which rows compete.
        protocol: Protocol of its scores, "" if it has none.
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
        """Return a sentence that names the protocol of its scores, "" if it has none."""
        return f"Protocol: {in_words(self.protocol)}." if self.protocol else ""


def write_tables(found: Mapping[str, ReportTable], folder: Path, mark: str, marks: Mapping[str, object]) -> None:
    """Write tables as CSV, and those that are shown as LaTeX.

    Args:
        found: The tables by name.
        folder: The folder to write into.
        mark: Text about the data that every caption ends with.
        marks: Last columns of every CSV.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in found.items():
        with whole_file(folder / f"{name}.csv") as whole:
            tables.write_csv(table.data, whole, {**marks, **({"protocol": table.protocol} if table.protocol else {})})
        if table.shown is not None:
            caption = " ".join(f"{table.title}. {table.protocol_note} {mark}".split())
            text = to_latex(table.shown, caption, f"tab:{name}", table.of_scores, table.best_within, note=table.note)
            write_text(folder / f"{name}.tex", text)
