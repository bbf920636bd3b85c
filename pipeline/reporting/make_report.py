"""Makes the complete report of a study from the results that exist, and names the missing results with their reasons."""

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
    """Write results.parquet, tables, figures, the reproduction note, the page and paper.tex. Print the time of each, and missing results.

    Args:
        study: The study.
        if_gaps: Write the report only if some cells have results and others lack them.

    Raises:
        InputError, ResultsError: If no cell has results, or a saved file cannot be read.
    """
    if if_gaps and not has_gaps(study):
        return
    _ = StudyResults(study).present_models  # raises an error if there are none, before anything is drawn
    with processes(1) as other:
        drawings = [other.submit(draw_figures_of_datasets, study)]
        results = _timed("results", lambda: collect_results(study, reductions_of_page(study)))
        drawings.append(other.submit(draw_figures_without_rows, study))  # their captions need results.parquet
        drawings[0].result()  # a table reads the similarity of frames, which `draw_leakage` writes
        _timed("tables", lambda: make_tables(study, results))
        _timed("figures", lambda: draw_figures(study, results=results, without=_without_rows(study)))
        for drawing in drawings:
            drawing.result()
    _timed("page", lambda: make_page(study, results))
    _timed("paper", lambda: write_paper(study, results))
    for cell, reason in {**results.missing_robust_models, **results.missing_models}.items():
        print(f"without {cell.id}: {reason}", flush=True)


def draw_figures_of_datasets(study: Study) -> None:
    """Draw the figures of the datasets, which need no results, so that another process can draw them in parallel."""
    _timed("datasets", lambda: draw_datasets(study))
    if leakage_datasets(study):
        _timed("leakage", lambda: draw_leakage(study))


def draw_figures_without_rows(study: Study) -> None:
    """Draw the figures that need no saved rows of predictions."""
    results = StudyResults(study)
    for name in _without_rows(study):
        _timed(name, partial(draw_figures, study, name, results))


def _without_rows(study: Study) -> list[str]:
    """Return the names of figures that need no saved rows: training histories and representations."""
    representations = [FIGURE_REPRESENTATIONS] if merging_groups(study) else []
    return [*representations, *(figure_of_history(dataset) for dataset in history_figures(study))]


def has_gaps(study: Study) -> bool:
    """Return whether some cells have results and others lack results or robustness."""
    results = StudyResults(study)
    return len(results.missing_cells) < len(cells_of(study)) and bool(
        results.missing_models or results.missing_robust_models
    )


def _timed(name: str, make: Callable[[], T]) -> T:
    """Call a function, print how long it took, and return its result."""
    started = time.perf_counter()
    result = make()
    print(f"{name}: {time.perf_counter() - started:.1f} s", flush=True)
    return result
