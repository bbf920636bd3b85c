"""One self-contained page with all tables and figures of a study."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup


@dataclass(frozen=True)
class Section:
    """A part of the page: a table or a picture, with a note of what it shows. `short` stands in the navigation."""

    anchor: str
    short: str
    title: str
    note: str = ""
    table: Markup | None = None
    image: str = ""  # as a data URL


def table_section(anchor: str, short: str, title: str, note: str, table: pd.DataFrame) -> Section:
    """A section with a table."""
    return Section(anchor, short, title, note, table=to_html(table))


def figure_section(anchor: str, short: str, title: str, note: str, picture: Path) -> Section:
    """A section with a picture (PNG or JPEG), embedded."""
    kind = "jpeg" if picture.suffix == ".jpg" else "png"
    content = base64.b64encode(picture.read_bytes()).decode("ascii")
    return Section(anchor, short, title, note, image=f"data:image/{kind};base64,{content}")


def to_html(table: pd.DataFrame) -> Markup:
    """A table as HTML, names escaped."""
    style = table.style.format(precision=2, na_rep="-", escape="html")
    style = style.format_index(escape="html", axis=0).format_index(escape="html", axis=1)
    return Markup(style.to_html(sparse_index=False, table_uuid="t"))


def render_page(sections: Sequence[Section], provenance: pd.DataFrame, facts: dict[str, Any]) -> str:
    """The page as HTML.

    Args:
        sections: in order. provenance: one row a training. facts: title, study, protocol, seeds, cells, resolution, synthetic.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    template = environment.get_template("page.html.jinja")
    return template.render(sections=sections, provenance=to_html(provenance), **facts)
