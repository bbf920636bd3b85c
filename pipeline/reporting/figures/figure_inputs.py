"""What figures of a study's results share: their heads, and the scores by which they choose what they show."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.reporting.captions import gap_note, study_caption
from pipeline.reporting.shown_cells import Scores, scored_cells
from pipeline.results.paths import evaluated_datasets
from pipeline.results.study_results import StudyResults
from pipeline.study.cell import Cell


class NothingToShow(Exception):
    """A figure's inputs are all missing: the message says so to readers."""


def head_of(results: StudyResults, gaps: Mapping[Cell, str], note: str = "") -> str:
    """What a figure says of its data, and of cells that it would show, or choose from, if they had results.

    Args:
        gaps: those cells, each with the reason. note: what else is missing.
    """
    return "\n".join(filter(None, (study_caption(results), gap_note(results.study, gaps), note)))


def scores_by_dataset(results: StudyResults) -> Mapping[str, Mapping[Cell, Scores]]:
    """By evaluated dataset the cells with results and their accuracy and mIoU."""
    return {dataset: results.once(scored_cells, dataset) for dataset in evaluated_datasets(results.study)}
