"""Everything that people read of a study, in one process, from the results that are there; gaps are shown with their reasons."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from pipeline.evaluation.collect_results import collect_results
from pipeline.io.processes import processes
from pipeline.reporting.figures.draw_datasets import draw_datasets, draw_leakage
from pipeline.reporting.figures.draw_figures import draw_figures
from pipeline.reporting.make_page import make_page, reductions_of_page
from pipeline.reporting.tables.make_tables import make_tables
from pipeline.reporting.write_paper import write_paper
from pipeline.results.paths import history_figures
from pipeline.results.study_results import StudyResults
from pipeline.study.cells import cells_of, merging_groups
from pipeline.study.datasets import leakage_datasets
from pipeline.study.models import Study
from reports.names import FIGURE_REPRESENTATIONS, figure_of_history

T = TypeVar("T")


def make_report(study: Study, if_gaps: bool = False) -> None:
    """Write results.parquet, tables, figures, the reproduction note, the page and paper.tex; say what each took and what is missing.

    Args:
        study: the study.
        if_gaps: do nothing unless a cell lacks results and another has some.

    Raises:
        InputError, ResultsError: if no cell has results, or something kept cannot be read.
    """
    if if_gaps and not has_gaps(study):
        return
    _ = StudyResults(study).present_models  # raises before anything is drawn
    with processes(1) as other:
        apart = [other.submit(draw_figures_of_datasets, study)]
        results = _timed("results", lambda: collect_results(study, reductions_of_page(study)))
        apart.append(other.submit(draw_figures_without_rows, study))  # their heads are of results.parquet
        _timed("tables", lambda: make_tables(study, results))
        _timed("figures", lambda: draw_figures(study, results=results, without=_without_rows(study)))
        for drawn in apart:
            drawn.result()
    _timed("page", lambda: make_page(study, results))
    _timed("paper", lambda: write_paper(study, results))
    for cell, reason in {**results.missing_robust_models, **results.missing_models}.items():
        print(f"without {cell.id}: {reason}", flush=True)


def draw_figures_of_datasets(study: Study) -> None:
    """Draw what shows the datasets. It needs no results, so that another process draws it meanwhile."""
    _timed("datasets", lambda: draw_datasets(study))
    if leakage_datasets(study):
        _timed("leakage", lambda: draw_leakage(study))


def draw_figures_without_rows(study: Study) -> None:
    """Draw the figures that show no saved rows, which this process need not read therefore."""
    results = StudyResults(study)
    for name in _without_rows(study):
        _timed(name, partial(draw_figures, study, name, results))


def _without_rows(study: Study) -> list[str]:
    """The figures that show no saved rows: trainings, and what models make of images."""
    representations = [FIGURE_REPRESENTATIONS] if merging_groups(study) else []
    return [*representations, *(figure_of_history(dataset) for dataset in history_figures(study))]


def has_gaps(study: Study) -> bool:
    """Whether a cell lacks results, its robustness among them, and another has some."""
    results = StudyResults(study)
    return len(results.missing_cells) < len(cells_of(study)) and bool(
        results.missing_models or results.missing_robust_models
    )


def _timed(name: str, make: Callable[[], T]) -> T:
    started = time.perf_counter()
    made = make()
    print(f"{name}: {time.perf_counter() - started:.1f} s", flush=True)
    return made
