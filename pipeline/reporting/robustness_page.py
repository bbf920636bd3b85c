"""Makes the page of measured robustness. The models may come from anywhere; no study is needed."""

from __future__ import annotations

from pathlib import Path

from pipeline.io.files import write_text
from pipeline.reporting.page_tables import table_numbers, table_sections
from pipeline.reporting.robustness import robustness_drawers, robustness_tables, write_robustness_report
from pipeline.results.paths import StudyOutput
from reports.names import figure_title
from reports.numbering import numbered
from reports.page import Facts, FigureSection, Page, render_page, scores_of
from reports.statistics.robustness import Robustness

PAGE = Path(StudyOutput.REPORT, "index.html")
"""The page in the folder of a report."""


def report_robustness(
    robustness: Robustness, folder: Path, title: str, resolution: int, *, synthetic: bool = False
) -> None:
    """Write the tables, figures and page of models from anywhere into tables/, figures/ and report/index.html of a folder.

    Args:
        robustness: The robustness, as `measure_robustness` returns it.
        folder: The folder. Files of an earlier report are replaced.
        title: The title of the page.
        resolution: The side of the images in pixels.
        synthetic: Whether the images are generated. Every table, figure and heading then says so.
    """
    caption = f"{'SYNTHETIC DATA' if synthetic else 'Real data'}. {title}."
    write_robustness_report(robustness, folder, caption, {"synthetic": synthetic})
    facts = Facts(
        title=title,
        study="",
        protocol="standard",
        seeds=(),
        trained=0,
        resolution=resolution,
        synthetic=synthetic,
        caption=caption,
    )
    write_robustness_page(robustness, folder, facts)


def write_robustness_page(robustness: Robustness, folder: Path, facts: Facts) -> None:
    """Write report/index.html of a folder.

    Args:
        robustness: The robustness.
        folder: The folder, with the figures that `write_robustness_report` wrote.
        facts: The facts at the top of the page. Their caption is also that of the figures.
    """
    tables = robustness_tables(robustness)
    figures = []
    for name, number in numbered(robustness_drawers(robustness, facts.caption), compare_with_paper=False).items():
        short, title = figure_title(name, {})
        picture = folder / StudyOutput.FIGURES / f"{name}.png"
        figures.append(FigureSection(name, f"{number}. {short}", f"Figure {number}. {title}", picture))
    numbers = table_numbers(tables, compare_with_paper=False)
    page = Page(
        facts,
        tables=table_sections(tables, numbers, robustness.categories),
        scores=scores_of(robustness),
        figures=figures,
    )
    write_text(folder / PAGE, render_page(page))
