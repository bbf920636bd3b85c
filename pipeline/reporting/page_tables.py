"""Makes the tables of the page from the tables of a report."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import pandas as pd

from pipeline.reporting.report_table import ReportTable
from reports import names
from reports.numbering import numbered
from reports.page import TableSection


def table_numbers(tables: Mapping[str, ReportTable], compare_with_paper: bool) -> dict[str, str]:
    """Return the number of each shown table by name, in the order of the numbers."""
    return numbered((name for name, table in tables.items() if table.shown is not None), compare_with_paper)


def table_sections(
    tables: Mapping[str, ReportTable], numbers: Mapping[str, str], categories: Collection[str]
) -> list[TableSection]:
    """Return the sections of the page that contain tables.

    Args:
        tables: The tables of a report by name.
        numbers: The numbers that `table_numbers` returns.
        categories: The categories of corruptions.
    """
    sections = []
    for name, number in numbers.items():
        table, shown = tables[name], tables[name].shown
        assert shown is not None
        sections.append(
            TableSection(
                name,
                short_title(number, table.title),
                f"Table {number}. {table.title}",
                table.full_note,
                shown,
                table.of_scores,
                table.best_within,
                rows_apart(name, shown, table.of_scores, categories),
                columns_of_paper(name, shown),
            )
        )
    return sections


def short_title(number: str, title: str) -> str:
    """Return a table's name in the list of contents: its number, and its title up to the first colon or bracket."""
    return f"{number}. {re.split('[:(]', title)[0].strip()}"


def rows_apart(name: str, shown: pd.DataFrame, of_scores: bool, categories: Collection[str]) -> list[int]:
    """Return the positions of the rows of means and references. A row's name alone does not decide this, because users choose names."""
    keys = [key if isinstance(key, tuple) else (key,) for key in shown.index]
    if name == names.TABLE_ROBUSTNESS:
        return [i for i, (category, _) in enumerate(keys) if category not in categories]
    if name == names.against_paper(names.TABLE_ROBUSTNESS):
        return [i for i, key in enumerate(keys) if key == ("mean",)]
    references = set(names.REFERENCES.values())
    return [i for i, key in enumerate(keys) if of_scores and key[0] == "Reference" and key[1] in references]


def columns_of_paper(name: str, shown: pd.DataFrame) -> list[int]:
    """Return the positions of columns that contain numbers of the paper."""
    if name in map(names.against_paper, names.PAPER_TABLES):
        return [i for i, (_, source) in enumerate(shown.columns) if source == "paper"]
    if name == names.TABLE_DATASETS:
        return [i for i, head in enumerate(shown.columns) if head.startswith("Paper: ")]
    return [i for i, head in enumerate(shown.columns) if name == names.TABLE_CLAIMS and head == "In the paper"]
