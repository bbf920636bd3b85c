"""Returns what all figures of results need: the text above them, and the scores by which they select cells."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.reporting.captions import gap_note, study_caption
from pipeline.reporting.shown_cells import Scores, scored_cells
from pipeline.results.paths import evaluated_datasets
from pipeline.results.study_results import StudyResults
from pipeline.study.cell import Cell


class NothingToShow(Exception):
    """All inputs of a figure are missing. The message tells readers why."""


def head_of(results: StudyResults, gaps: Mapping[Cell, str], note: str = "") -> str:
    """Return the head of a figure, which is the text above it: the caption about its data, and the cells that it lacks.

    Args:
        results: The results of the study.
        gaps: The cells that the figure lacks because they have no results, each with the reason.
        note: A text on anything else that is missing.
    """
    return "\n".join(filter(None, (study_caption(results), gap_note(results.study, gaps), note)))


def scores_by_dataset(results: StudyResults) -> Mapping[str, Mapping[Cell, Scores]]:
    """Return the cells with results and their accuracy and mIoU, by evaluated dataset."""
    return {dataset: results.once(scored_cells, dataset) for dataset in evaluated_datasets(results.study)}
