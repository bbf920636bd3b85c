"""Defines the order and the numbers of tables and figures, which are the same on the page, in the LaTeX document and in its PDF."""

from __future__ import annotations

import re
from collections.abc import Iterable

from reports.names import PAPER_TABLES, against_paper

# For each section, how the names of its tables and figures begin. The first match counts; names without a match belong to `OTHERS`.
SECTIONS: dict[str, tuple[str, ...]] = {
    "Datasets": ("table1_", "table_similarity", "fig1_", "class_balance", "leakage", "contact_"),
    "Results": (
        "table2_",
        "table3_",
        "table4_",
        "table_comparison",
        "table_leakage",
        "table_pairs",
        "fig2_",
        "fig5_",
        "table_classes",
        "fig_classes",
        "table_activities",
        "table_confusion",
        "fig_confusion",
    ),
    "Ablations": ("table5_", "table6_"),
    "Merging": ("merging", "fig_merging", "fig_representations"),
    "Robustness": ("table7_", "table_robustness", "fig6_", "fig_retention", "fig_heatmap"),
    "Cost and training": ("table_cost", "fig_cost", "history_"),
    "Reproduction note": ("table_reproduction",),
    "Provenance": ("provenance",),
}
OTHERS = "Results"
# Tables of datasets that are not in the paper follow the tables of those that are.
_LAST_OF_DATASETS = "table4_"


def place_of(name: str) -> tuple[int, int]:
    """Return the position of the section of a table or figure, and the position of the table or figure within the section."""
    for section, beginnings in enumerate(SECTIONS.values()):
        for place, beginning in enumerate(beginnings):
            if name.startswith(beginning):
                return section, place
    return list(SECTIONS).index(OTHERS), SECTIONS[OTHERS].index(_LAST_OF_DATASETS)


def numbered(names: Iterable[str], compare_with_paper: bool) -> dict[str, str]:
    """Return the numbers of tables, or of figures, in the order in which they are shown.

    Args:
        names: File names without endings, of tables only or of figures only. Names with the same position stay in their order.
        compare_with_paper: If true, tables and figures of the paper have the paper's number, tables that compare with them have that
            number and "b", and all others are S1, S2, and so on. If false, all are numbered from 1.
    """
    ordered = sorted(dict.fromkeys(names), key=place_of)
    if not compare_with_paper:
        return {name: str(place) for place, name in enumerate(ordered, start=1)}
    numbers = {name: _paper_number(name) for name in ordered}
    others = (name for name in ordered if not numbers[name])
    return numbers | {name: f"S{place}" for place, name in enumerate(others, start=1)}


def _paper_number(name: str) -> str:
    """Return the number that the paper gives a table or figure, or "" if the paper does not contain it."""
    number = re.match(r"(?:table|fig)(\d+)_", name)
    is_comparison = name in map(against_paper, PAPER_TABLES)
    return f"{number[1]}{'b' if is_comparison else ''}" if number else ""
