"""Declare all results of a study: their steps, settings, code, inputs and files.

Rules, commands by hand, and recording in DVC use this module. Each rule has a method of the same name, except evaluate_merged_cells and
evaluate_merged_robustness: merged models have the methods of trained ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from pipeline.datasets.kinds import GENERALISATION
from pipeline.io.known_digests import KnownDigests
from pipeline.results import paths
from pipeline.results.paths import CellOutput
from pipeline.study.cell import Cell, MergingGroup
from pipeline.study.cells import merging_groups, models_of
from pipeline.study.conditions import conditions_of
from pipeline.study.datasets import dataset_settings, evaluated_on, leakage_datasets
from pipeline.study.fingerprints import (
    cell_settings,
    pretraining_settings,
    report_settings,
    settings_of_datasets,
)
from pipeline.study.folders import cell_folder, dataset_folder, pretrained_file, roots_of, weights_file
from pipeline.study.models import Study
from pipeline.study.robust_models import keeps_corrupted, robust_models
from pipeline.workflow.result import Result
from pipeline.workflow.step_code import (
    code_of,
    code_of_cells,
    code_of_dataset,
    code_of_pretraining,
    code_of_robustness,
    code_of_study,
)

_Method = TypeVar("_Method", bound=Callable[..., Result])


def _once(make: _Method) -> _Method:
    """Make a method return the same object for the same arguments, so that each result of a study is one object."""

    def cached(self: ResultsOfStudy, *key: Any) -> Result:
        if (make.__name__, key) not in self._made:
            self._made[make.__name__, key] = make(self, *key)
        return self._made[make.__name__, key]

    return cached  # type: ignore[return-value]


class ResultsOfStudy:
    """The results of one study; each `Result` is created at its first use.

    Args:
        study: the study.
        digests: remembered digests, for raw trees and files of weights.
    """

    def __init__(self, study: Study, digests: KnownDigests) -> None:
        self.study, self.digests = study, digests
        self._made: dict[tuple[str, Any], Result] = {}

    @cached_property
    def all(self) -> list[Result]:
        """All results that `rule all` asks for and their inputs, upstream first."""
        by_done: dict[Path, Result] = {}

        def add(result: Result) -> None:
            if result.done not in by_done:
                for upstream in result.upstream:
                    add(upstream)
                by_done[result.done] = result

        for name in self.study.datasets:
            add(self.check_sources(name))
        for result in self.of_report():
            add(result)
        return list(by_done.values())

    def of_models(self) -> list[Result]:
        """Return datasets, trained and merged models, all scores, and the representations of merging experiments."""
        return [*self._evaluated, *(self.represent_group(group) for group in merging_groups(self.study))]

    def of_report(self) -> list[Result]:
        """Return the results that `endoarss report` makes, in this order."""
        drawn = [self.draw_datasets(), *([self.draw_leakage()] if leakage_datasets(self.study) else [])]
        return [
            *drawn,
            self.collect_results(),
            self.make_tables(),
            self.draw_figures(),
            self.make_page(),
            self.write_paper(),
        ]

    @_once
    def generate_raw(self, tree: str) -> Result:
        """Return a generated raw tree."""
        generated = self.study.raw.generate
        assert generated is not None
        root = paths.generated_trees(self.study)[tree]
        return Result(
            "generate_raw",
            tree,
            root.with_name(f"{root.name}.done.json"),
            lambda: (generated.as_dict(), code_of("pipeline.preparation.generate_raw")),
            (),
            (paths.generated_done_file(root),),
            (root,),
        )

    @_once
    def check_sources(self, dataset: str) -> Result:
        """Return the doctor's report on the raw trees of a dataset."""
        file = paths.doctor_file(self.study, dataset)
        # The doctor's own code is left out. If it counted, each change of that code would build the dataset again.
        return Result(
            "check_sources",
            dataset,
            file.with_suffix(".done.json"),
            lambda: self._settings_and_code_of_raw_trees(dataset),
            self.trees_of(dataset),
            (file,),
        )

    @_once
    def build_dataset(self, dataset: str) -> Result:
        """Return a built dataset."""
        folder = dataset_folder(self.study, dataset)
        return Result(
            "build_dataset",
            dataset,
            folder / "done.json",
            lambda: self._settings_and_code_of_raw_trees(dataset),
            self.trees_of(dataset),
            tuple(paths.dataset_files(self.study, dataset)),
            (folder / "images", folder / "masks"),
            (paths.dataset_provenance_file(self.study, dataset),),
        )

    @_once
    def pack_dataset(self, dataset: str) -> Result:
        """Return the images and masks of a dataset at the study's size."""
        file = paths.arrays_file(self.study, dataset)
        return Result(
            "pack_dataset",
            dataset,
            file.with_suffix(".done.json"),
            lambda: ({"input_size": self.study.input_size}, code_of("pipeline.preparation.pack_dataset")),
            (self.build_dataset(dataset),),
            (file,),
            (file.with_suffix(""),),
        )

    @_once
    def pretrain_backbone(self) -> Result:
        """Return the backbone that the study pretrains itself."""
        file = pretrained_file(self.study)
        assert file is not None
        return Result(
            "pretrain_backbone",
            "",
            file.with_suffix(".done.json"),
            lambda: (pretraining_settings(self.study), code_of_pretraining()),
            (),
            (file,),
            side_files=(file.with_suffix(".json"),),
        )

    @_once
    def train_cell(self, cell: Cell) -> Result:
        """Return a trained model and its predictions."""
        return self._model("train_cell", cell, (cell,), side_files=(paths.history_file(self.study, cell),))

    def merge_models(self, cell: Cell, singles: tuple[Cell, ...] = ()) -> Result:
        """Return a merged model and its predictions. singles: its single-task models, for a merged model that the study does not list."""
        group = self._groups.get(cell)
        return self._merge_cell(cell, group.singles if group else singles)

    @_once
    def _merge_cell(self, cell: Cell, singles: tuple[Cell, ...]) -> Result:
        sources = tuple(self.train_cell(single) for single in singles)
        return self._model("merge_models", cell, (*singles, cell), sources)

    @_once
    def represent_group(self, group: MergingGroup) -> Result:
        """Return the representations of test images in the models of a merging experiment. A figure shows them."""
        file = paths.representations_file(self.study, group)
        return Result(
            "merge_models",
            group.id,
            file.with_name("done.json"),
            lambda: (
                {"merged": [cell_settings(self.study, cell) for cell in group.merged]},
                code_of_cells("pipeline.training.merge_models", self.study, *group.singles, *group.merged),
            ),
            tuple(self.merge_models(cell) for cell in group.merged),
            (file,),
        )

    @_once
    def evaluate_cell(self, cell: Cell) -> Result:
        """Return the scores of a model's predictions."""
        folder, datasets = cell_folder(self.study, cell), evaluated_on(self.study, cell.dataset)
        return Result(
            "evaluate_cell",
            cell.id,
            folder / CellOutput.ROWS / "done.json",
            lambda: ({"input_size": self.study.input_size}, code_of("pipeline.evaluation.evaluate_cell")),
            (self.model(cell), *self._built_and_packed(datasets)),
            (
                folder / CellOutput.METRICS,
                *(paths.scores_file(self.study, cell, dataset) for dataset in datasets),
                *(paths.rows_file(self.study, cell, dataset) for dataset in datasets),
            ),
        )

    @_once
    def corrupt_images(self, dataset: str) -> Result:
        """Return the stored corrupted test images of a dataset."""
        done_file = paths.corrupted_done_file(self.study, dataset)
        return Result(
            "corrupt_images",
            dataset,
            done_file.with_name("done.json"),
            lambda: (self._conditions(), code_of_robustness("pipeline.evaluation.corrupt_images", self.study)),
            self._built_and_packed([dataset]),
            (done_file,),
        )

    @_once
    def evaluate_robustness(self, cell: Cell) -> Result:
        """Return the scores of a model under corruption."""
        files = paths.robustness_files(self.study, cell)
        corrupted = (self.corrupt_images(cell.dataset),) if keeps_corrupted(self.study) else ()
        return Result(
            "evaluate_robustness",
            cell.id,
            files.scores.with_name("done.json"),
            lambda: (
                self._conditions(),
                code_of_robustness("pipeline.evaluation.evaluate_robustness", self.study, cell),
            ),
            (self.model(cell), *self._built_and_packed([cell.dataset]), *corrupted),
            (files.scores, files.rows, files.gallery),
            side_files=(files.provenance,),
        )

    @_once
    def score_references(self, dataset: str) -> Result:
        """Return the scores of reference predictions."""
        datasets = dict.fromkeys([dataset, GENERALISATION.get(dataset, dataset)])
        return Result(
            "score_references",
            dataset,
            paths.reference_folder(self.study, dataset) / "done.json",
            lambda: ({"input_size": self.study.input_size}, code_of("pipeline.evaluation.score_references")),
            self._built_and_packed(datasets),
            tuple(paths.reference_files(self.study, dataset).values()),
        )

    @_once
    def collect_results(self) -> Result:
        """Return the long table of all measurements."""
        file = paths.results_file(self.study)
        return self._about_study(
            "collect_results",
            file.with_suffix(".done.json"),
            "pipeline.evaluation.collect_results",
            self._evaluated,
            [file, paths.metrics_file(self.study)],
            [paths.results_provenance_file(self.study)],
        )

    @_once
    def draw_datasets(self) -> Result:
        """Return the figures of the datasets."""
        files = paths.dataset_figures(self.study)
        return self._about_study(
            "draw_datasets",
            files[0].with_name("draw_datasets.done.json"),
            "pipeline.reporting.figures.draw_datasets",
            self._datasets(),
            files,
            settings=settings_of_datasets,
        )

    @_once
    def draw_leakage(self) -> Result:
        """Return the similarity of test and training frames, and its figure."""
        file = paths.similarity_file(self.study)
        return self._about_study(
            "draw_leakage",
            file.with_name("draw_leakage.done.json"),
            "pipeline.reporting.figures.draw_datasets",
            self._built_and_packed(leakage_datasets(self.study)),
            [file, *paths.leakage_figures(self.study)],
            settings=settings_of_datasets,
        )

    @_once
    def make_tables(self) -> Result:
        """Return all tables, and the note on the paper's claims if the study compares with the paper."""
        files = paths.table_files(self.study)
        notes = [paths.note_file(self.study)] if self.study.compare_with_paper else []
        leakage = [self.draw_leakage()] if leakage_datasets(self.study) else []
        return self._about_study(
            "make_tables",
            files[0].with_name("done.json"),
            "pipeline.reporting.tables.make_tables",
            [self.collect_results(), *self._evaluated, *leakage],
            [*files, *notes],
        )

    @_once
    def draw_figures(self) -> Result:
        """Return all figures of results."""
        files = [path for figure in paths.result_figures(self.study).values() for path in figure]
        return self._about_study(
            "draw_figures",
            files[0].with_name("done.json"),
            "pipeline.reporting.figures.draw_figures",
            [self.collect_results(), *self.of_models()],
            files,
        )

    @_once
    def make_page(self) -> Result:
        """Return the page that shows everything."""
        file = paths.report_file(self.study)
        return self._about_study(
            "make_page",
            file.with_name("done.json"),
            "pipeline.reporting.make_page",
            [self.make_tables(), *self._figures(), *self._evaluated],
            [file],
        )

    @_once
    def write_paper(self) -> Result:
        """Return the LaTeX document of all tables and figures."""
        file = paths.paper_file(self.study)
        return self._about_study(
            "write_paper",
            file.with_name("done.json"),
            "pipeline.reporting.write_paper",
            [self.make_tables(), *self._figures(), *self._evaluated],
            [file],
        )

    @_once
    def compile_paper(self) -> Result:
        """Return the compiled LaTeX document."""
        file = paths.paper_pdf(self.study)
        upstream = [self.write_paper(), self.make_tables(), *self._figures()]
        return self._about_study(
            "compile_paper", file.with_suffix(".done.json"), "pipeline.reporting.write_paper", upstream, [file]
        )

    def model(self, cell: Cell) -> Result:
        """Return a trained or merged model and its predictions."""
        return self.merge_models(cell) if cell.merger else self.train_cell(cell)

    def trees_of(self, dataset: str) -> tuple[Result, ...]:
        """Return the generated raw trees of a dataset; none for real data."""
        if self.study.raw.generate is None:
            return ()
        names = sorted({root.name for root in roots_of(self.study, dataset).values()})
        return tuple(self.generate_raw(name) for name in names)

    def _settings_and_code_of_raw_trees(self, dataset: str) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Return settings and code of steps that read the raw trees of a dataset. The settings hold digests of real trees."""
        settings = dataset_settings(self.study, dataset)
        if self.study.raw.generate is None:
            earlier = self.build_dataset(dataset).earlier_record() or {}
            known = earlier.get("settings", {}).get("raw", {})
            # A tree that is not on this machine is taken to be unchanged since the dataset was built.
            settings["raw"] = {
                source: self.digests.of_folder(root) if root.exists() else known.get(source, "")
                for source, root in roots_of(self.study, dataset).items()
            }
        return settings, code_of_dataset("pipeline.preparation.build_dataset", self.study, dataset)

    def _model(
        self,
        step: str,
        cell: Cell,
        cells: tuple[Cell, ...],
        sources: tuple[Result, ...] = (),
        side_files: tuple[Path, ...] = (),
    ) -> Result:
        """Return a model and its predictions. cells: cells whose components count as its code. sources: the models it is merged from."""
        folder, datasets = cell_folder(self.study, cell), evaluated_on(self.study, cell.dataset)
        weights, own_weights = weights_file(self.study, cell.backbone), pretrained_file(self.study)
        pretrained = (self.pretrain_backbone(),) if weights is not None and weights == own_weights else ()

        def settings_and_code() -> tuple[dict[str, Any], tuple[str, ...]]:
            settings = cell_settings(self.study, cell)
            if weights is not None and not pretrained:
                settings["weights_sha256"] = self.digests.of_file(weights) if weights.is_file() else ""
            return settings, code_of_cells(f"pipeline.training.{step}", self.study, *cells)

        return Result(
            step,
            cell.id,
            folder / "done.json",
            settings_and_code,
            (*sources, *self._built_and_packed(datasets), *pretrained),
            (
                folder / CellOutput.CHECKPOINT,
                *(paths.predictions_file(self.study, cell, dataset) for dataset in datasets),
            ),
            side_files=(folder / CellOutput.PROVENANCE, *side_files),
        )

    def _about_study(
        self,
        step: str,
        done: Path,
        module: str,
        upstream: Iterable[Result],
        files: Iterable[Path],
        side_files: Iterable[Path] = (),
        settings: Callable[[Study], dict[str, Any]] = report_settings,
    ) -> Result:
        """Return the result of a step about the whole study. module: module of the step. settings: returns what decides the result."""
        return Result(
            step,
            "",
            done,
            lambda: (settings(self.study), code_of_study(module)),
            tuple(upstream),
            tuple(files),
            side_files=tuple(side_files),
        )

    def _conditions(self) -> dict[str, Any]:
        return {**conditions_of(self.study).as_dict(), "input_size": self.study.input_size}

    def _built_and_packed(self, datasets: Iterable[str]) -> tuple[Result, ...]:
        """Return, for each dataset, the dataset and its arrays at the study's size."""
        return tuple(result for name in datasets for result in (self.build_dataset(name), self.pack_dataset(name)))

    def _datasets(self) -> list[Result]:
        return [self.build_dataset(name) for name in self.study.datasets]

    def _figures(self) -> list[Result]:
        leakage = [self.draw_leakage()] if leakage_datasets(self.study) else []
        return [self.draw_figures(), self.draw_datasets(), *leakage]

    @cached_property
    def _groups(self) -> dict[Cell, MergingGroup]:
        """The merging group of each merged cell that the study lists."""
        return {cell: group for group in merging_groups(self.study) for cell in group.merged}

    @cached_property
    def _evaluated(self) -> list[Result]:
        """The datasets, models and scores (also those of reference predictions and under corruption) that reports read."""
        return [
            *self._built_and_packed(self.study.datasets),
            *(self.model(cell) for cell in models_of(self.study)),
            *(self.evaluate_cell(cell) for cell in models_of(self.study)),
            *(self.evaluate_robustness(cell) for cell in robust_models(self.study)),
            *(self.score_references(name) for name in paths.evaluated_datasets(self.study)),
        ]
