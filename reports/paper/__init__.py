"""The tables and figures of a study as one LaTeX document, which takes them in where they lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from reports.numbering import SECTIONS, place_of
from reports.tables.latex_text import escape

# Figures of which two share a page: letters of all others are no smaller than they were drawn.
_HALF = ("contact_", "leakage")
# Sections that hold text as well, and so stand whatever a study has.
_ALWAYS = ("Datasets", "Results", "Reproduction note", "Provenance")


@dataclass(frozen=True)
class Item:
    """A table or figure of the document.

    Attributes:
        kind: "table", "figure", or "data" for a CSV that is too long for print.
        path: Of its file, from the document.
        caption: Of a figure, as plain text.
        number: As readers see it, such as "7" or "S1"; data has none.
    """

    kind: str
    path: str
    caption: str = ""
    number: str = ""

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return Path(self.path).stem

    @property
    def height(self) -> float:
        """Of a figure, at most, as a share of the height of a page's text."""
        return 0.42 if self.name.startswith(_HALF) else 0.9


def sections(items: Sequence[Item]) -> dict[str, list[Item]]:
    """Return tables and figures by section, in the order of `reports.numbering`; those of one place keep their order."""
    ordered = sorted(items, key=lambda item: place_of(item.name))
    found = {
        section: [item for item in ordered if place_of(item.name)[0] == place] for place, section in enumerate(SECTIONS)
    }
    return {section: of_section for section, of_section in found.items() if of_section or section in _ALWAYS}


def render_paper(items: Sequence[Item], provenance: tuple[str, str], facts: Mapping[str, Any]) -> str:
    """Return the document as LaTeX.

    Args:
        items: Tables and figures.
        provenance: The number of the last table, and the table as LaTeX.
        facts: title, study, synthetic, and lists of plain text: abstract (sentences), datasets, models, reproduction, provenance
            (sentences).
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
