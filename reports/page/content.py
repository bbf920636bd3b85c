"""Defines the content of the page. Texts are plain text; `reports.page.render` escapes them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from reports.page.gallery import Gallery
from reports.page.scores import Scores


@dataclass(frozen=True)
class Facts:
    """The facts about a study.

    Attributes:
        title: Title of the study.
        study: Name of the study; "" if the models belong to no study.
        protocol: Protocol of the metrics.
        seeds: Seeds of the trainings; empty on the page of a model that was trained elsewhere.
        trained: Number of trainings; 0 on the page of a model that was trained elsewhere.
        resolution: Side of the square input in pixels.
        synthetic: Whether the data is synthetic.
        caption: The caption that applies to all numbers of the study.
        partial: A sentence that names the datasets without some of their frames; "" if all have all frames.
        merged: Number of merged models.
    """

    title: str
    study: str
    protocol: str
    seeds: Sequence[int]
    trained: int
    resolution: int
    synthetic: bool
    caption: str = ""
    partial: str = ""
    merged: int = 0


@dataclass(frozen=True)
class Gap:
    """Results that a cell does not have, and the reason.

    Attributes:
        cell: The id of the cell.
        model: The name of the cell's model that readers see.
        lacks: Which results are missing.
        reason: Why they are missing.
    """

    cell: str
    model: str
    lacks: str
    reason: str


@dataclass(frozen=True)
class TableSection:
    """A table under a heading.

    Attributes:
        anchor: The id of the section.
        short: The name in the list of contents.
        title: The heading above the table.
        note: The text below the table.
        table: The table, as in `to_html`.
        best: Whether the best values are bold, as in `to_html`.
        within: Index levels within which rows compete, as in `to_html`.
        apart: Positions of rows that do not compete, as in `to_html`.
        of_paper: Positions of columns with the paper's numbers, as in `to_html`.
    """

    anchor: str
    short: str
    title: str
    note: str
    table: pd.DataFrame
    best: bool = False
    within: Sequence[str] = ()
    apart: Collection[int] = ()
    of_paper: Collection[int] = ()


@dataclass(frozen=True)
class FigureSection:
    """A figure under a heading.

    Attributes:
        anchor: The id of the section.
        short: The name in the list of contents.
        title: The heading.
        picture: PNG, JPEG or WebP file; if the file is absent, the page says so.
        note: The text below the figure.
    """

    anchor: str
    short: str
    title: str
    picture: Path
    note: str = ""


@dataclass(frozen=True)
class DatasetCard:
    """The card of a dataset.

    Attributes:
        anchor: The id of the card.
        title: The name of the dataset that readers see.
        facts: Pairs of a term and its text.
        colours: Pairs of a class name and its CSS colour.
        tables: Pairs of a caption and a table.
        sheet: The contact sheet.
    """

    anchor: str
    title: str
    facts: Sequence[tuple[str, str]]
    colours: Sequence[tuple[str, str]]
    tables: Sequence[tuple[str, pd.DataFrame]]
    sheet: FigureSection | None = None


@dataclass(frozen=True)
class Page:
    """The whole page, section by section; sections that are empty or None are left out.

    Attributes:
        facts: The facts about the study.
        glance: The best models, for the summary.
        glance_note: The text below `glance`.
        claims: A sentence with the verdicts on the paper's claims.
        gaps: The results that are missing.
        tables: The tables of results.
        scores: The scores against severity.
        gallery: The gallery of pictures.
        figures: The figures.
        datasets: The cards of the datasets.
        provenance: The tables of provenance.
    """

    facts: Facts
    glance: pd.DataFrame | None = None
    glance_note: str = ""
    claims: str = ""
    gaps: Sequence[Gap] = ()
    tables: Sequence[TableSection] = ()
    scores: Scores | None = None
    gallery: Gallery | None = None
    figures: Sequence[FigureSection] = ()
    datasets: Sequence[DatasetCard] = ()
    provenance: Sequence[TableSection] = ()

    @property
    def shows_paper(self) -> bool:
        """Return whether a table contains numbers of the paper."""
        return any(section.of_paper for section in self.tables)
