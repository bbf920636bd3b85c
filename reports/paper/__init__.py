"""Renders the LaTeX document of a study, which includes the files of tables and figures from their folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from reports.numbering import SECTIONS, place_of
from reports.tables.latex_text import escape

# Beginnings of the names of figures that take at most half a page, so that two of them share a page.
_HALF_PAGE = ("contact_", "leakage")
# Sections that also contain text, so the document has them even if a study has none of their tables and figures.
_ALWAYS_SHOWN = ("Datasets", "Results", "Reproduction note", "Provenance")


@dataclass(frozen=True)
class Item:
    """A table or figure of the document.

    Attributes:
        kind: "table", "figure", or "data" for a CSV file that is too long for print.
        path: Path of the file, relative to the document.
        caption: Caption of a figure as plain text.
        number: Number that readers see, such as "7" or "S1"; "" for data.
    """

    kind: str
    path: str
    caption: str = ""
    number: str = ""

    @property
    def name(self) -> str:
        """Return the file's name without its ending."""
        return Path(self.path).stem

    @property
    def height(self) -> float:
        """Return the largest height of a figure, as a share of the height of a page's text."""
        return 0.42 if self.name.startswith(_HALF_PAGE) else 0.9


def sections(items: Sequence[Item]) -> dict[str, list[Item]]:
    """Return tables and figures by section, in the order of `reports.numbering`; those with the same position keep their order."""
    ordered = sorted(items, key=lambda item: place_of(item.name))
    by_section = {
        section: [item for item in ordered if place_of(item.name)[0] == place] for place, section in enumerate(SECTIONS)
    }
    return {section: shown for section, shown in by_section.items() if shown or section in _ALWAYS_SHOWN}


def render_paper(items: Sequence[Item], provenance: tuple[str, str], facts: Mapping[str, Any]) -> str:
    """Return the document as LaTeX.

    Args:
        items: Tables and figures.
        provenance: The number of the table of provenance, and the table as LaTeX.
        facts: The other values of the template: `title`, `study` and `models` are plain texts; `synthetic` is whether the data is
            synthetic; `abstract`, `datasets`, `reproduction` and `provenance` are lists of plain texts.
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
