"""The saved results of a study, each file read once: a command makes one `StudyResults` and hands it to all that it reports."""

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
    """What lies in the folder of a study's results, as it lay there when it was first asked for.

    Rows of images as they are stay in memory: 1 MB a model and dataset in the paper's study. Rows under corruption are a hundred times
    as many, so they are released when they are reduced; what reductions make of them stays.
    """

    def __init__(
        self, study: Study, reductions: Mapping[Reduction[Any], Collection[Cell]] = MappingProxyType({})
    ) -> None:
        """Read nothing yet.

        Args:
            study: whose results.
            reductions: those that will be asked for, each with the models that it will be asked of. When a model's rows under corruption
                are read, all of its reductions are made, so that they are read once; one that is not named here reads them again.
        """
        self.study = study
        self._reductions = reductions
        self._reduced: dict[tuple[Reduction[Any], Cell], Any] = {}
        self._computed: dict[tuple[Any, ...], Any] = {}

    def once(self, compute: Callable[[StudyResults, *Args], T], *args: *Args) -> T:
        """Return what a function makes of these results; it is called once for the same arguments.

        Args:
            compute: a function of a module, called with these results and the arguments.
            args: hashable.
        """
        key = (compute, *args)
        if key not in self._computed:
            self._computed[key] = compute(self, *args)
        found: T = self._computed[key]
        return found

    def reduced(self, cell: Cell, reduction: Reduction[T]) -> T:
        """Return what a reduction makes of a model's rows under corruption.

        Raises:
            InputError: as `robust_rows`.
        """
        if (reduction, cell) not in self._reduced:
            rows = robust_rows(self.study, cell, self.frames(cell.dataset))
            named = (one for one, cells in self._reductions.items() if cell in cells)
            for one in dict.fromkeys((*named, reduction)):
                self._reduced[one, cell] = one(self, cell, rows)
        found: T = self._reduced[reduction, cell]
        return found

    def release(self, reduction: Reduction[Any]) -> None:
        """Forget what a reduction made, which nobody will ask for any more."""
        self._reduced = {key: made for key, made in self._reduced.items() if key[0] != reduction}

    @cached_property
    def missing_models(self) -> Mapping[Cell, str]:
        """The trainings and merged models without results, each with the reason."""
        return missing_models(self.study)

    @cached_property
    def missing_robust_models(self) -> Mapping[Cell, str]:
        """The models whose robustness is asked for and has no results, each with the reason."""
        return missing_robust_models(self.study)

    @cached_property
    def missing_cells(self) -> Mapping[Cell, str]:
        """Those of `missing_models` that tables compare."""
        return {cell: self.missing_models[cell] for cell in cells_of(self.study) if cell in self.missing_models}

    def gaps(self, cells: Iterable[Cell]) -> dict[Cell, str]:
        """Those of some cells that have no results, each with the reason."""
        return {cell: self.missing_cells[cell] for cell in cells if cell in self.missing_cells}

    @cached_property
    def present_cells(self) -> tuple[Cell, ...]:
        """The cells that tables compare and that have results, in the order of the study."""
        return tuple(cell for cell in cells_of(self.study) if cell not in self.missing_cells)

    @cached_property
    def missing_robustness(self) -> Mapping[Cell, str]:
        """Those of `missing_robust_models` whose robustness tables compare."""
        lacking = self.missing_robust_models
        return {cell: lacking[cell] for cell in robustness_cells(self.study) if cell in lacking}

    @cached_property
    def present_models(self) -> tuple[Cell, ...]:
        """The trainings and merged models with results, in the order of the study.

        Raises:
            InputError: if no cell has results.
        """
        lacking = self.missing_cells
        if len(lacking) == len(cells_of(self.study)):
            cell, reason = next(iter(lacking.items()))
            raise InputError(
                f"study {self.study.name!r}: none of its {len(lacking)} cells has results; {cell.id}: {reason}."
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
        """Return what a model's evaluation on a dataset left, one row an image, in the order of the test split.

        Raises:
            InputError: as `pipeline.results.rows.clean_rows`.
        """
        return self.once(_clean_rows, cell, dataset)

    def reference_rows(self, dataset: str) -> Mapping[str, pd.DataFrame]:
        """Return the rows of each reference on a dataset, by its name.

        Raises:
            InputError: as `pipeline.results.rows.reference_rows`.
        """
        return self.once(_reference_rows, dataset)

    @cached_property
    def table(self) -> pd.DataFrame:
        """The long table of results.parquet, without what is under corruption.

        Raises:
            ResultsError: as `read_results`.
        """
        return read_results(results_file(self.study), self.study.name, self.study.protocol, clean=True)

    @cached_property
    def compared_table(self) -> pd.DataFrame:
        """The rows of `table` that tables compare: of the study's cells, and of references."""
        return comparable_rows(self.table, self.study.training.select_on)


Reduction = Callable[[StudyResults, Cell, pd.DataFrame], T]
"""What is made of a model's rows under corruption: a function of a module, called with the results, the model, and the rows."""


def _frames(results: StudyResults, dataset: str) -> dict[str, str]:
    return frames_tested(results.study, dataset)


def _provenance(results: StudyResults, cell: Cell) -> dict[str, Any]:
    return read_provenance(results.study, cell)


def _clean_rows(results: StudyResults, cell: Cell, dataset: str) -> pd.DataFrame:
    return clean_rows(results.study, cell, dataset, results.frames(dataset))


def _reference_rows(results: StudyResults, dataset: str) -> dict[str, pd.DataFrame]:
    return reference_rows(results.study, dataset, results.frames(dataset))
