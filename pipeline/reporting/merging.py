"""Merging experiments: single-task models, the models merged from them, and the jointly trained models they are compared with."""

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

_KEYS = ["frame_id", "corruption", "severity", "mask_warped"]
Array = NDArray[np.float32]


def study_note(study: Study) -> str:
    """Return sentences on how checkpoints were selected and which unlabelled images were used."""
    part = merging_of(study).unlabelled
    seen = "unlabelled training images" if part == "train" else "TEST IMAGES, unlabelled, as in both papers"
    others = "" if study.training.select_on == "val" else ", unlike elsewhere in this study"
    levels = f"Severities of corruptions: {', '.join(map(str, conditions_of(study).severities))}."
    return (
        f"Epochs and coefficients are chosen on validation frames{others}. AdaMerging and Surgery see {seen}. {levels}"
    )


def shown_rank(study: Study) -> int:
    """Return the rank of Surgery that is compared with the other models."""
    return int(merging_of(study).surgery.rank)


def measured_merging(results: StudyResults) -> Merging | None:
    """Return what the tables show, or None if nothing is merged yet."""
    cases = merging_cases(results)
    return measure_merging(cases) if cases else None


def merging_cases(results: StudyResults) -> list[MergingCase]:
    """What is merged, by dataset that it is tested on, backbone and rank of adapters, seeds together; what has no results is left out."""
    study, lacking, cases = results.study, results.missing_models, []
    table = results.table
    if study.protocol != STANDARD:
        table = gather_scores(results, STANDARD, results.present_models, ())
    for groups in groups_by_seed(study):
        shown = shown_groups(groups, lacking)
        if shown:
            trained_on = shown[0].singles[0].dataset
            for dataset in evaluated_on(study, trained_on):
                cases.append(_Case(results, table, shown, dataset).gather())
    return cases


def shown_groups(groups: Sequence[MergingGroup], lacking: Mapping[Cell, str]) -> list[MergingGroup]:
    """Return the groups of the seeds that have all single and merged models or, if none has, the first seed that has some."""
    whole = [group for group in groups if not any(cell in lacking for cell in (*group.singles, *group.merged))]
    some = (
        group
        for group in groups
        if not any(cell in lacking for cell in group.singles) and any(cell not in lacking for cell in group.merged)
    )
    return whole or list(some)[:1]


def merging_gaps(results: StudyResults) -> str:
    """Which models of merging have no results, or none under corruptions, and why, a sentence a reason; "" if none is so."""
    study, lacking = results.study, results.missing_models
    not_robust = {cell: reason for cell, reason in results.missing_robust_models.items() if cell not in lacking}
    wanted = {cell for group in merging_groups(study) for cell in (*group.singles, *group.merged, *group.joint)}
    by_reason: dict[tuple[str, str], list[str]] = {}
    for under, cells in (("", lacking), (" under corruptions", not_robust)):
        for cell, reason in cells.items():
            if cell in wanted:
                by_reason.setdefault((under, reason), []).append(named(study, cell))
    gaps = [f"No results{under} of {', '.join(names)}: {reason}." for (under, reason), names in by_reason.items()]
    if gaps and len(study.seeds) > 1:
        gaps.append(
            "Shown are the seeds that have all single and merged models, or, where none has, the first that has some."
        )
    return " ".join(gaps)


def groups_by_seed(study: Study) -> list[list[MergingGroup]]:
    """Return the merging groups, grouped if they differ only in their seed."""
    found: dict[tuple[str, str, int], list[MergingGroup]] = {}
    for group in merging_groups(study):
        single = group.singles[0]
        found.setdefault((single.dataset, single.backbone, single.rank), []).append(group)
    return list(found.values())


class _Case:
    """Gathers one case. table: long, under the standard protocol. groups: those with results, one a seed. dataset: whose test split."""

    def __init__(
        self, results: StudyResults, table: pd.DataFrame, groups: Sequence[MergingGroup], dataset: str
    ) -> None:
        study = results.study
        self.results, self.study, self.groups, self.lacking = results, study, groups, results.missing_models
        first = groups[0].singles[0]
        self.own = dataset == first.dataset
        self.dataset, self.title = dataset, titles_of(study)[dataset]
        self.backbone = model_labels(study).backbone(first.backbone)
        if first.rank != study.lora.rank:
            self.backbone += f", rank {first.rank}"
        self.robust = set(robust_models(study)) - set(results.missing_robust_models)
        whole = (table["corruption"] == "") & (table["class"] == "") & (table["eval_dataset"] == self.dataset)
        self.table = table[whole & (table["dataset"] == first.dataset)]

    def gather(self) -> MergingCase:
        """Return the merging case."""
        subjects = [self._subject(INDIVIDUAL, [group.singles for group in self.groups])]
        for index, cell in enumerate(self.groups[0].merged):
            cells = [(group.merged[index],) for group in self.groups if group.merged[index] not in self.lacking]
            if cells:
                subjects.append(self._subject(merged_label(cell.merger, cell.surgery), cells))
        joint = self._best_joint()
        if joint:
            subjects.append(self._subject(f"{JOINT}: {model_name(self.study, joint[0])}", [(cell,) for cell in joint]))
        return MergingCase(self.title, self.backbone, subjects)

    def _best_joint(self) -> list[Cell]:
        """The jointly trained model with the best score on validation frames, mean over the seeds that are shown: its cells, one a seed."""
        models: dict[tuple[str, str], list[Cell]] = {}
        for group in self.groups:
            for cell in group.joint:
                if cell not in self.lacking and history_file(self.study, cell).is_file():
                    models.setdefault((cell.architecture, cell.weighting), []).append(cell)
        whole = [cells for cells in models.values() if len(cells) == len(self.groups)]
        scores = [float(np.mean([self._validation(cell) for cell in cells])) for cells in whole]
        return whole[int(np.argmax(scores))] if whole else []

    def _validation(self, cell: Cell) -> float:
        history = read_history(history_file(self.study, cell))
        return float(history["validation"].max()) if "validation" in history else float("nan")

    def _subject(self, label: str, runs: Sequence[tuple[Cell, ...]]) -> ComparedModel:
        """runs: the cells of one seed each: one, or the single-task ones whose answers go together."""
        first = runs[0][-1]
        cells = [cell for run in runs for cell in run]
        # Corrupted are, and bias is of, test images of the dataset that was trained on.
        robust = self.own and self.robust.issuperset(cells)
        clean = [
            _together([self.results.clean_rows(c, self.dataset).assign(**CLEAN_ROWS) for c in run]) for run in runs
        ]
        about = [self.results.provenance(cell).get("merging", {}) for cell in cells]
        bias = [one["bias"] for one in about if "bias" in one and self.own]
        # Merged models come of the single-task trainings, and vary with them.
        trainings = "" if label.startswith(JOINT) else INDIVIDUAL
        return ComparedModel(
            label,
            first.merger,
            first.surgery,
            EvaluatedModel(label, self.title, clean, trainings),
            EvaluatedModel(
                label,
                self.title,
                [_scored([self.results.reduced(c, scored_run) for c in run]) for run in runs],
                trainings,
            )
            if robust
            else None,
            self._scores(runs),
            {task: [one[task] for one in bias] for task in bias[0]} if bias else {},
            _coefficients([one for one in about if one]),
            int(self.results.provenance(first)["parameters"]["trained"]) if first.merger else 0,
        )

    def _scores(self, runs: Sequence[tuple[Cell, ...]]) -> dict[str, list[float]]:
        of_cells = pd.concat([rows_of_cell(self.table, cell) for run in runs for cell in run])
        return {
            str(name): values.astype(float).tolist() for name, values in of_cells.groupby("metric", sort=False)["value"]
        }


def _together(runs: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the predictions of single-task models joined as those of one model."""
    whole, *others = runs
    for other in others:
        more = [name for name in other if name not in whole]
        whole = whole.merge(other[[*_KEYS, *more]], on=_KEYS, how="outer", validate="one_to_one")
    return whole


def _scored(runs: Sequence[ScoredRun]) -> ScoredRun:
    """Return the scores of single-task models joined as those of one model."""
    most = max(runs, key=lambda run: len(run.grid.conditions()))
    scores = {name: values for run in runs for name, values in run.of_grid(most.grid, most.images).items()}
    return replace(most, rows=_together([run.rows for run in runs]), scores=scores)


def _coefficients(about: Sequence[Mapping[str, object]]) -> str:
    """Return the coefficient of a merger, or the range of its learned coefficients, over seeds."""
    chosen: list[float] = []
    for one in about:
        if "coefficient" in one:
            chosen.append(float(str(one["coefficient"])))
        elif "coefficients" in one:
            chosen += np.asarray(one["coefficients"], np.float64).ravel().tolist()
    if not chosen:
        return ""
    low, high = f"{min(chosen):.2f}", f"{max(chosen):.2f}"
    return low if low == high else f"{low} to {high}"
