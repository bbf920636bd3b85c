"""The tables and figures of a study as one LaTeX document, which takes them in where they lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from reports.tables.latex_text import escape

# Where tables and figures stand, by how their names begin; the first that fits, in this order. What fits none goes to `OTHERS`.
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
}
OTHERS = "Results"
# Such are tables of datasets that the paper has not: they follow those that it has.
_LAST_OF_DATASETS = "table4_"
# Figures of which two share a page: letters of all others are no smaller than they were drawn.
_HALF = ("contact_", "leakage")
# Sections that hold text as well, and so stand whatever a study has.
_ALWAYS = ("Datasets", "Results", "Reproduction note")


@dataclass(frozen=True)
class Item:
    """A table or figure: its kind ("table", "figure", or "data" for a CSV that is too long for print), and its path from the
    document. caption: of a figure, as plain text."""

    kind: str
    path: str
    caption: str = ""

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return Path(self.path).stem

    @property
    def height(self) -> float:
        """Of a figure, at most, as a share of the height of a page's text."""
        return 0.42 if self.name.startswith(_HALF) else 0.9


def sections(items: Sequence[Item]) -> dict[str, list[Item]]:
    """Tables and figures by section, in the order of `SECTIONS`; those of one place in the order in which they are given."""
    placed: dict[str, list[tuple[int, Item]]] = {section: [] for section in SECTIONS}
    for item in items:
        section, place = _place(item.name)
        placed[section].append((place, item))
    return {
        section: [item for _, item in sorted(found, key=lambda pair: pair[0])]
        for section, found in placed.items()
        if found or section in _ALWAYS
    }


def _place(name: str) -> tuple[str, int]:
    for section, starts in SECTIONS.items():
        for place, start in enumerate(starts):
            if name.startswith(start):
                return section, place
    return OTHERS, SECTIONS[OTHERS].index(_LAST_OF_DATASETS)


def render_paper(items: Sequence[Item], provenance: str, facts: Mapping[str, Any]) -> str:
    """The document as LaTeX.

    Args:
        items: tables and figures. provenance: a table as LaTeX. facts: title, study, synthetic, and lists of plain text: abstract
        (sentences), datasets, models, reproduction, provenance (sentences).
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # LaTeX, not HTML: every text goes through the filter `tex`
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
    )
    environment.filters["tex"] = escape
    template = environment.get_template("paper.tex.jinja")
    return template.render(sections=sections(items), provenance_table=provenance, **facts)
