"""What stands on the page. Texts are plain; rendering escapes them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from reports.page.gallery import Gallery
from reports.page.scores import Scores


@dataclass(frozen=True)
class Facts:
    """What a study is.

    Attributes:
        seeds, cells: Seeds and number of trainings; empty and 0 on the page of a model that was trained elsewhere.
        resolution: Side of the square input in pixels.
        mark: What the study says of all its numbers.
        partial: Which datasets lack frames, "" if none does.
    """

    title: str
    study: str
    protocol: str
    seeds: Sequence[int]
    cells: int
    resolution: int
    synthetic: bool
    mark: str = ""
    partial: str = ""


@dataclass(frozen=True)
class Gap:
    """What a cell lacks, and why."""

    cell: str
    lacks: str
    reason: str


@dataclass(frozen=True)
class TableSection:
    """A table under a heading.

    Attributes:
        anchor: Its id.
        short: Its name in the list of contents.
        title, note: What stands above and below it.
        table, best, within, apart, of_paper: As `to_html` takes them.
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
    """A figure under a heading. picture: PNG or JPEG; where there is none, the page says so."""

    anchor: str
    short: str
    title: str
    picture: Path
    note: str = ""


@dataclass(frozen=True)
class DatasetCard:
    """What a dataset holds. facts: terms and what is said of them. colours: of its classes, as CSS has them. tables: with captions."""

    anchor: str
    title: str
    facts: Sequence[tuple[str, str]]
    colours: Sequence[tuple[str, str]]
    tables: Sequence[tuple[str, pd.DataFrame]]
    sheet: FigureSection | None = None


@dataclass(frozen=True)
class Page:
    """The whole page, section by section; what is empty or None is left out.

    Attributes:
        glance: The best models, for the summary.
        claims: What the results say of the paper's claims, in a sentence.
    """

    facts: Facts
    glance: pd.DataFrame | None = None
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
        """Whether numbers of the paper stand in a table."""
        return any(section.of_paper for section in self.tables)
