"""What figures of a study's results are drawn from, read once for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from pipeline.reporting.captions import gap_note, study_mark
from pipeline.reporting.merging import measured_merging, merging_gaps
from pipeline.reporting.models import label_of
from pipeline.reporting.robustness import measure_study
from pipeline.reporting.shown_cells import Scores, scored_cells
from pipeline.results.paths import evaluated_datasets
from pipeline.results.study_results import StudyResults
from pipeline.study.cell import Cell
from pipeline.study.models import Study
from reports.names import model_label
from reports.statistics.merging import Merging
from reports.statistics.robustness import Robustness


class NothingToShow(Exception):
    """A figure's inputs are all missing: the message says so to readers."""


@dataclass(frozen=True)
class Kept:
    """The results of a study as figures take them."""

    results: StudyResults

    @property
    def study(self) -> Study:
        """The study."""
        return self.results.study

    @property
    def merging(self) -> Merging:
        """What the tables of merging are of.

        Raises:
            NothingToShow: if nothing is merged yet.
        """
        measured = self.results.once(measured_merging)
        if measured is None:
            raise NothingToShow(f"Nothing is merged yet. {merging_gaps(self.results)}".strip())
        return measured

    @property
    def mark(self) -> str:
        """What every figure says of its data."""
        return study_mark(self.results)

    @property
    def lacking(self) -> Mapping[Cell, str]:
        """The cells without results, each with the reason."""
        return self.results.missing_cells

    def head(self, gaps: Mapping[Cell, str]) -> str:
        """What a figure says of its data, and of cells that it would show, or choose from, if they had results.

        Args:
            gaps: those cells, each with the reason.
        """
        note = gap_note(self.study, gaps)
        return f"{self.mark}\n{note}" if note else self.mark

    @property
    def scores(self) -> Mapping[str, Mapping[Cell, Scores]]:
        """By evaluated dataset the cells with results and their accuracy and mIoU."""
        return {dataset: self.results.once(scored_cells, dataset) for dataset in evaluated_datasets(self.study)}

    @property
    def robustness(self) -> Robustness:
        """What the robustness evaluations give.

        Raises:
            NothingToShow: if there is none.
        """
        measured = self.results.once(measure_study)
        if measured is None:
            reason = next(iter(self.results.missing_robustness.values()), "the study asks for none")
            raise NothingToShow(f"No cell's robustness is evaluated: {reason}.")
        return measured

    def rows(self, cell: Cell, dataset: str) -> pd.DataFrame:
        """What is kept of a cell's answers on a dataset, one row an image, in the order of the test part.

        Raises:
            InputError: as `StudyResults.clean_rows`.
        """
        return self.results.clean_rows(cell, dataset)

    def backbone(self, cell: Cell) -> str:
        """A cell's backbone as readers know it."""
        return str(self.study.backbones[cell.backbone].label)

    def model(self, cell: Cell) -> str:
        """A cell's model without its backbone as readers know it."""
        return model_label("", cell.architecture, cell.weighting).strip()

    def label(self, cell: Cell) -> str:
        """A cell in one line as readers know it."""
        return label_of(self.study, cell)
