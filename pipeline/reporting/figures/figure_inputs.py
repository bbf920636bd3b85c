"""What figures of a study's results are drawn from, read once for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from pipeline.reporting.captions import study_mark
from pipeline.reporting.merging import measured_merging, merging_gaps
from pipeline.reporting.models import label_of
from pipeline.reporting.robustness import measure_study
from pipeline.reporting.shown_cells import Scores, scored_cells
from pipeline.reporting.tables.score_tables import gap_note
from pipeline.results.cell_state import missing_cells, missing_robustness
from pipeline.results.paths import evaluated_datasets, results_file
from pipeline.results.rows import clean_rows
from pipeline.study.cell import Cell
from pipeline.study.study import Study
from reports.names import model_label
from reports.results import read_results, set_beside
from reports.statistics.merging import Merging
from reports.statistics.robustness import Robustness


class NothingToShow(Exception):
    """A figure's inputs are all missing: the message says so to readers."""


@dataclass(frozen=True)
class Kept:
    """The kept results of a study."""

    study: Study

    @cached_property
    def everything(self) -> pd.DataFrame:
        """The long result table."""
        return read_results(results_file(self.study))

    @cached_property
    def results(self) -> pd.DataFrame:
        """Its rows of cells that are set beside each other, and of references."""
        return set_beside(self.everything, self.study.select_on)

    @cached_property
    def merging(self) -> Merging:
        """What the tables of merging are of.

        Raises:
            NothingToShow: if nothing is merged yet.
        """
        measured = measured_merging(self.study, self.everything)
        if measured is None:
            raise NothingToShow(f"Nothing is merged yet. {merging_gaps(self.study)}".strip())
        return measured

    @cached_property
    def mark(self) -> str:
        """What every figure says of its data."""
        return study_mark(self.study)

    @cached_property
    def lacking(self) -> Mapping[Cell, str]:
        """The cells without results, each with the reason."""
        return missing_cells(self.study)

    def head(self, gaps: Mapping[Cell, str]) -> str:
        """What a figure says of its data, and of cells that it would show, or choose from, if they had results.

        Args:
            gaps: those cells, each with the reason.
        """
        note = gap_note(self.study, gaps)
        return f"{self.mark}\n{note}" if note else self.mark

    @cached_property
    def scores(self) -> Mapping[str, Mapping[Cell, Scores]]:
        """By evaluated dataset the cells with results and their accuracy and mIoU."""
        return {dataset: scored_cells(self.study, self.results, dataset) for dataset in evaluated_datasets(self.study)}

    @cached_property
    def robustness(self) -> Robustness:
        """What the robustness evaluations give.

        Raises:
            NothingToShow: if there is none.
        """
        measured = measure_study(self.study)
        if measured is None:
            reason = next(iter(missing_robustness(self.study).values()), "the study asks for none")
            raise NothingToShow(f"No cell's robustness is evaluated: {reason}.")
        return measured

    def rows(self, cell: Cell, dataset: str) -> pd.DataFrame:
        """What is kept of a cell's answers on a dataset, one row an image, in the order of the test part.

        Raises:
            InputError: as `clean_rows`.
        """
        return clean_rows(self.study, cell, dataset)

    def backbone(self, cell: Cell) -> str:
        """A cell's backbone as readers know it."""
        return str(self.study.settings["backbones"][cell.backbone]["label"])

    def model(self, cell: Cell) -> str:
        """A cell's model without its backbone as readers know it."""
        return model_label("", cell.architecture, cell.weighting).strip()

    def label(self, cell: Cell) -> str:
        """A cell in one line as readers know it."""
        return label_of(self.study, cell)
