"""Everything that people read of a study, in one process, from the results that are there; gaps are shown with their reasons."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from pipeline.evaluation.collect_results import collect_results
from pipeline.reporting.figures.draw_datasets import draw_datasets, draw_leakage
from pipeline.reporting.figures.make_figures import make_figures
from pipeline.reporting.page import make_page
from pipeline.reporting.paper import make_paper
from pipeline.reporting.report_table import ReportTable
from pipeline.reporting.tables.make_tables import make_tables
from pipeline.results.cell_state import missing_cells, missing_models, missing_robust_models
from pipeline.study.study import Study


def make_report(study: Study) -> None:
    """Write results.parquet, tables, figures, the reproduction note, the page and paper.tex; say what each took and what is missing.

    Raises:
        InputError, ResultsError: if no cell has results, or something kept cannot be read.
    """
    for name, make in _parts(study):
        started = time.perf_counter()
        make()
        print(f"{name}: {time.perf_counter() - started:.1f} s", flush=True)
    for cell, reason in (missing_robust_models(study) | missing_models(study)).items():
        print(f"without {cell.id}: {reason}", flush=True)


def has_gaps(study: Study) -> bool:
    """Whether a cell lacks results, its robustness among them, and another has some."""
    missing = missing_cells(study)
    return len(missing) < len(study.cells()) and bool(missing_models(study) or missing_robust_models(study))


def _parts(study: Study) -> Iterator[tuple[str, Callable[[], object]]]:
    found: dict[str, ReportTable] = {}
    yield "results", lambda: collect_results(study)
    yield "datasets", lambda: draw_datasets(study)
    if study.leakage_datasets():
        yield "leakage", lambda: draw_leakage(study)
    yield "tables", lambda: found.update(make_tables(study))
    yield "figures", lambda: make_figures(study)
    yield "page", lambda: make_page(study, found)
    yield "paper", lambda: make_paper(study)
