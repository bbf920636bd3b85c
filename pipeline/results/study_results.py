"""Reads the saved results of a study. A command passes one `StudyResults` to all its reports, so that they share what was read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any, TypeVar, TypeVarTuple

import pandas as pd

from pipeline.errors import InputError
from pipeline.results.cell_state import missing_models, missing_robust_models
from pipeline.results.paths import results_file
from pipeline.results.provenance import read_provenance
from pipeline.results.rows import clean_rows, frames_tested, reference_rows, robust_rows
from pipeline.study.cell import Cell
from pipeline.study.cells import cells_of, models_of
from pipeline.study.models import Study
from pipeline.study.robust_models import robustness_cells
from reports.results import comparable_rows, read_results

Args = TypeVarTuple("Args")
T = TypeVar("T")


class StudyResults:
    """The results in the folder of a study, as they were when they were first read.

    Tables compare only some models, which are called *compared cells* here: the trainings whose `select_on` is `training.select_on` of the
    study (`cells_of`).

    Rows of clean images stay in memory: 1 MB per model and dataset in the paper's study. There are a hundred times as many rows under
    corruption, so only the values that a `Reduction` computes from them stay.
    """

    def __init__(
        self, study: Study, reductions: Mapping[Reduction[Any], Collection[Cell]] = MappingProxyType({})
    ) -> None:
        """Store the study and the reductions. Files are read when they are needed.

        Args:
            study: the study.
            reductions: the reductions that will be needed, each with its models. When the rows of a model under corruption are read, all
                reductions that are listed with the model are computed. For any other reduction the rows are read again.
        """
        self.study = study
        self._reductions = reductions
        self._reduced: dict[tuple[Reduction[Any], Cell], Any] = {}
        self._computed: dict[tuple[Any, ...], Any] = {}

    def once(self, compute: Callable[[StudyResults, *Args], T], *args: *Args) -> T:
        """Return the value of a function of these results. It is computed once for the same arguments.

        Args:
            compute: a module-level function. It is called with these results and `args`.
            args: hashable arguments.
        """
        key = (compute, *args)
        if key not in self._computed:
            self._computed[key] = compute(self, *args)
        value: T = self._computed[key]
        return value

    def reduced(self, cell: Cell, reduction: Reduction[T]) -> T:
        """Return the value that a reduction computes from a model's rows under corruption.

        Raises:
            InputError: as `robust_rows`.
        """
        if (reduction, cell) not in self._reduced:
            rows = robust_rows(self.study, cell, self.frames(cell.dataset))
            needed = (other for other, cells in self._reductions.items() if cell in cells)
            for reduce in dict.fromkeys((*needed, reduction)):
                self._reduced[reduce, cell] = reduce(self, cell, rows)
        value: T = self._reduced[reduction, cell]
        return value

    def release(self, reduction: Reduction[Any]) -> None:
        """Remove the values of a reduction from memory. Call this when they are not needed any more."""
        self._reduced = {key: value for key, value in self._reduced.items() if key[0] != reduction}

    @cached_property
    def missing_models(self) -> Mapping[Cell, str]:
        """The trained and merged models without current results, each with the reason."""
        return missing_models(self.study)

    @cached_property
    def missing_robust_models(self) -> Mapping[Cell, str]:
        """The models whose robustness the study asks for and whose results are missing or stale, each with the reason."""
        return missing_robust_models(self.study)

    @cached_property
    def missing_cells(self) -> Mapping[Cell, str]:
        """The compared cells without current results, each with the reason."""
        return {cell: self.missing_models[cell] for cell in cells_of(self.study) if cell in self.missing_models}

    def gaps(self, cells: Iterable[Cell]) -> dict[Cell, str]:
        """Return the compared cells among `cells` that have no current results, each with the reason."""
        return {cell: self.missing_cells[cell] for cell in cells if cell in self.missing_cells}

    @cached_property
    def present_cells(self) -> tuple[Cell, ...]:
        """The compared cells with current results, in the order of the study."""
        return tuple(cell for cell in cells_of(self.study) if cell not in self.missing_cells)

    @cached_property
    def missing_robustness(self) -> Mapping[Cell, str]:
        """The compared cells whose robustness the study asks for and is missing or stale, each with the reason."""
        missing = self.missing_robust_models
        return {cell: missing[cell] for cell in robustness_cells(self.study) if cell in missing}

    @cached_property
    def present_models(self) -> tuple[Cell, ...]:
        """The trained and merged models with current results, in the order of the study.

        Raises:
            InputError: if no compared cell has current results.
        """
        missing = self.missing_cells
        if len(missing) == len(cells_of(self.study)):
            cell, reason = next(iter(missing.items()))
            raise InputError(
                f"study {self.study.name!r}: none of its {len(missing)} cells has results; {cell.id}: {reason}. Run snakemake."
            )
        return tuple(cell for cell in models_of(self.study) if cell not in self.missing_models)

    def frames(self, dataset: str) -> Mapping[str, str]:
        """Return the activity of each frame of a dataset's test split, by frame id."""
        return self.once(_frames, dataset)

    def provenance(self, cell: Cell) -> Mapping[str, Any]:
        """Return the provenance of a training or merged model.

        Raises:
            FileNotFoundError, InputError: as `read_provenance`.
        """
        return self.once(_provenance, cell)

    def clean_rows(self, cell: Cell, dataset: str) -> pd.DataFrame:
        """Return the saved rows of a model's evaluation on a dataset, one per image, in the order of the test split.

        Raises:
            InputError: as `pipeline.results.rows.clean_rows`.
        """
        return self.once(_clean_rows, cell, dataset)

    def reference_rows(self, dataset: str) -> Mapping[str, pd.DataFrame]:
        """Return the saved rows of each reference prediction on a dataset, by its name.

        Raises:
            InputError: as `pipeline.results.rows.reference_rows`.
        """
        return self.once(_reference_rows, dataset)

    @cached_property
    def table(self) -> pd.DataFrame:
        """The long table of results.parquet without the rows under corruption.

        Raises:
            ResultsError: as `read_results`.
        """
        return read_results(results_file(self.study), self.study.name, self.study.protocol, clean=True)

    @cached_property
    def compared_table(self) -> pd.DataFrame:
        """The rows of `table` that belong to compared cells or to reference predictions."""
        return comparable_rows(self.table, self.study.training.select_on)


Reduction = Callable[[StudyResults, Cell, pd.DataFrame], T]
"""A module-level function (results, model, rows) that returns a value. The rows are those of the model under corruption."""


def _frames(results: StudyResults, dataset: str) -> dict[str, str]:
    return frames_tested(results.study, dataset)


def _provenance(results: StudyResults, cell: Cell) -> dict[str, Any]:
    return read_provenance(results.study, cell)


def _clean_rows(results: StudyResults, cell: Cell, dataset: str) -> pd.DataFrame:
    return clean_rows(results.study, cell, dataset, results.frames(dataset))


def _reference_rows(results: StudyResults, dataset: str) -> dict[str, pd.DataFrame]:
    return reference_rows(results.study, dataset, results.frames(dataset))
