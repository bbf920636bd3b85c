"""Gathers the results of merging experiments: single-task models, models merged from them, and jointly trained models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from endoarss.metrics import STANDARD
from pipeline.evaluation.collect_results import gather_scores
from pipeline.io.saved_files import read_history
from pipeline.reporting.models import CLEAN_ROWS, model_name, named, rows_of_cell, scored_run
from pipeline.results.paths import history_file
from pipeline.results.study_results import StudyResults
from pipeline.study.cell import Cell, MergingGroup
from pipeline.study.cells import merging_groups, merging_of
from pipeline.study.conditions import conditions_of
from pipeline.study.datasets import evaluated_on, titles_of
from pipeline.study.labels import model_labels
from pipeline.study.models import Study
from pipeline.study.robust_models import robust_models
from reports.names import merged_label
from reports.statistics.condition_scores import EvaluatedModel, ScoredRun
from reports.statistics.merging import (
    INDIVIDUAL,
    JOINT,
    ComparedModel,
    Merging,
    MergingCase,
    measure_merging,
)

# The columns that identify a row of predictions.
_KEYS = ["frame_id", "corruption", "severity", "mask_warped"]
Array = NDArray[np.float32]


def study_note(study: Study) -> str:
    """Return sentences on how checkpoints were selected and which unlabelled images were used."""
    split = merging_of(study).unlabelled
    images = "unlabelled training images" if split == "train" else "TEST IMAGES, unlabelled, as in both papers"
    others = "" if study.training.select_on == "val" else ", unlike elsewhere in this study"
    levels = f"Severities of corruptions: {', '.join(map(str, conditions_of(study).severities))}."
    return f"Epochs and coefficients are chosen on validation frames{others}. AdaMerging and Surgery see {images}. {levels}"


def shown_rank(study: Study) -> int:
    """Return the rank of Surgery that is compared with the other models."""
    return int(merging_of(study).surgery.rank)


def measured_merging(results: StudyResults) -> Merging | None:
    """Return the numbers that the tables of merging show, or None if nothing is merged yet."""
    cases = merging_cases(results)
    return measure_merging(cases) if cases else None


def merging_cases(results: StudyResults) -> list[MergingCase]:
    """Return one case per test dataset, backbone and rank of adapters, with all shown seeds, without models that have no results."""
    study, missing, cases = results.study, results.missing_models, []
    table = results.table
    if study.protocol != STANDARD:
        table = gather_scores(results, STANDARD, results.present_models, ())
    for groups in groups_by_seed(study):
        shown = shown_groups(groups, missing)
        if shown:
            trained_on = shown[0].singles[0].dataset
            for dataset in evaluated_on(study, trained_on):
                cases.append(_Case(results, table, shown, dataset).gather())
    return cases


def shown_groups(groups: Sequence[MergingGroup], missing: Mapping[Cell, str]) -> list[MergingGroup]:
    """Return the groups of the seeds with all single-task and merged models. If no seed has all, return the first that has some."""
    complete = [group for group in groups if not any(cell in missing for cell in (*group.singles, *group.merged))]
    incomplete = (
        group
        for group in groups
        if not any(cell in missing for cell in group.singles) and any(cell not in missing for cell in group.merged)
    )
    return complete or list(incomplete)[:1]


def merging_gaps(results: StudyResults) -> str:
    """Return one sentence per reason on models of merging without results, or without results under corruptions; "" if there are none."""
    study, missing = results.study, results.missing_models
    not_robust = {cell: reason for cell, reason in results.missing_robust_models.items() if cell not in missing}
    merging_cells = {cell for group in merging_groups(study) for cell in (*group.singles, *group.merged, *group.joint)}
    by_reason: dict[tuple[str, str], list[str]] = {}
    for images, cells in (("", missing), (" under corruptions", not_robust)):
        for cell, reason in cells.items():
            if cell in merging_cells:
                by_reason.setdefault((images, reason), []).append(named(study, cell))
    gaps = [f"No results{images} of {', '.join(names)}: {reason}." for (images, reason), names in by_reason.items()]
    if gaps and len(study.seeds) > 1:
        gaps.append(
            "Seeds are shown if they have all single-task and merged models. If no seed has all, the first seed with some is shown."
        )
    return " ".join(gaps)


def groups_by_seed(study: Study) -> list[list[MergingGroup]]:
    """Return lists of the merging groups that differ only in their seed."""
    by_model: dict[tuple[str, str, int], list[MergingGroup]] = {}
    for group in merging_groups(study):
        single = group.singles[0]
        by_model.setdefault((single.dataset, single.backbone, single.rank), []).append(group)
    return list(by_model.values())


class _Case:
    """Gathers the models of one case.

    Args:
        results: The results of the study.
        table: The long table under the standard protocol.
        groups: The groups with results, one per seed.
        dataset: The dataset on whose test split the models are tested.
    """

    def __init__(
        self, results: StudyResults, table: pd.DataFrame, groups: Sequence[MergingGroup], dataset: str
    ) -> None:
        study = results.study
        self.results, self.study, self.groups, self.missing = results, study, groups, results.missing_models
        first = groups[0].singles[0]
        self.trained_on_it = dataset == first.dataset
        self.dataset, self.title = dataset, titles_of(study)[dataset]
        self.backbone = model_labels(study).backbone(first.backbone)
        if first.rank != study.lora.rank:
            self.backbone += f", rank {first.rank}"
        self.robust = set(robust_models(study)) - set(results.missing_robust_models)
        of_models = (table["corruption"] == "") & (table["class"] == "") & (table["eval_dataset"] == self.dataset)
        self.table = table[of_models & (table["dataset"] == first.dataset)]

    def gather(self) -> MergingCase:
        """Return the merging case."""
        models = [self._compared_model(INDIVIDUAL, [group.singles for group in self.groups])]
        for index, cell in enumerate(self.groups[0].merged):
            cells = [(group.merged[index],) for group in self.groups if group.merged[index] not in self.missing]
            if cells:
                models.append(self._compared_model(merged_label(cell.merger, cell.surgery), cells))
        joint = self._best_joint()
        if joint:
            models.append(
                self._compared_model(f"{JOINT}: {model_name(self.study, joint[0])}", [(cell,) for cell in joint])
            )
        return MergingCase(self.title, self.backbone, models)

    def _best_joint(self) -> list[Cell]:
        """Return the cells, one per shown seed, of the jointly trained model with the best mean score on validation frames."""
        models: dict[tuple[str, str], list[Cell]] = {}
        for group in self.groups:
            for cell in group.joint:
                if cell not in self.missing and history_file(self.study, cell).is_file():
                    models.setdefault((cell.architecture, cell.weighting), []).append(cell)
        complete = [cells for cells in models.values() if len(cells) == len(self.groups)]
        scores = [float(np.mean([self._validation(cell) for cell in cells])) for cells in complete]
        return complete[int(np.argmax(scores))] if complete else []

    def _validation(self, cell: Cell) -> float:
        """Return the best score of a training on validation frames, or NaN if it has none."""
        history = read_history(history_file(self.study, cell))
        return float(history["validation"].max()) if "validation" in history else float("nan")

    def _compared_model(self, label: str, runs: Sequence[tuple[Cell, ...]]) -> ComparedModel:
        """Return a model. Each run has the cells of one seed: a single cell, or the single-task cells whose predictions are joined."""
        first = runs[0][-1]
        cells = [cell for run in runs for cell in run]
        # Only test images of the training dataset are corrupted, and bias is measured only on them.
        robust = self.trained_on_it and self.robust.issuperset(cells)
        clean = [
            _join_predictions([self.results.clean_rows(c, self.dataset).assign(**CLEAN_ROWS) for c in run])
            for run in runs
        ]
        records = [self.results.provenance(cell).get("merging", {}) for cell in cells]
        bias = [record["bias"] for record in records if "bias" in record and self.trained_on_it]
        # Merged models are made from the single-task trainings, so they vary with these.
        trainings = "" if label.startswith(JOINT) else INDIVIDUAL
        return ComparedModel(
            label,
            first.merger,
            first.surgery,
            EvaluatedModel(label, self.title, clean, trainings),
            EvaluatedModel(
                label,
                self.title,
                [_join_scores([self.results.reduced(c, scored_run) for c in run]) for run in runs],
                trainings,
            )
            if robust
            else None,
            self._scores(runs),
            {task: [of_cell[task] for of_cell in bias] for task in bias[0]} if bias else {},
            _coefficients([record for record in records if record]),
            int(self.results.provenance(first)["parameters"]["trained"]) if first.merger else 0,
        )

    def _scores(self, runs: Sequence[tuple[Cell, ...]]) -> dict[str, list[float]]:
        """Return the scores of all cells on clean images, by metric."""
        of_cells = pd.concat([rows_of_cell(self.table, cell) for run in runs for cell in run])
        return {
            str(name): values.astype(float).tolist() for name, values in of_cells.groupby("metric", sort=False)["value"]
        }


def _join_predictions(runs: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the rows of single-task models joined as the rows of one model."""
    joined, *others = runs
    for other in others:
        new_columns = [name for name in other if name not in joined]
        joined = joined.merge(other[[*_KEYS, *new_columns]], on=_KEYS, how="outer", validate="one_to_one")
    return joined


def _join_scores(runs: Sequence[ScoredRun]) -> ScoredRun:
    """Return the scores of single-task models joined as the scores of one model."""
    largest = max(runs, key=lambda run: len(run.grid.conditions()))
    scores = {name: values for run in runs for name, values in run.of_grid(largest.grid, largest.images).items()}
    return replace(largest, rows=_join_predictions([run.rows for run in runs]), scores=scores)


def _coefficients(records: Sequence[Mapping[str, object]]) -> str:
    """Return the coefficient of a merger, or the range of its coefficients over tasks, layers and seeds."""
    coefficients: list[float] = []
    for record in records:
        if "coefficient" in record:
            coefficients.append(float(str(record["coefficient"])))
        elif "coefficients" in record:
            coefficients += np.asarray(record["coefficients"], np.float64).ravel().tolist()
    if not coefficients:
        return ""
    low, high = f"{min(coefficients):.2f}", f"{max(coefficients):.2f}"
    return low if low == high else f"{low} to {high}"
