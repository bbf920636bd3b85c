"""What tables and figures of merging are made from: kept rows and results of single, merged and jointly trained models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from endoarss.metrics import STANDARD
from pipeline.errors import InputError
from pipeline.evaluation.collect_results import gather_scores
from pipeline.io.saved_files import read_history, read_representations
from pipeline.reporting.models import CLEAN_ROWS, label_of, scored_run
from pipeline.reporting.report_table import ReportTable
from pipeline.results.paths import history_file, representations_file
from pipeline.results.study_results import StudyResults
from pipeline.study.cell import Cell, MergingGroup
from pipeline.study.cells import merging_groups, merging_of
from pipeline.study.datasets import evaluated_on, titles_of
from pipeline.study.models import Study
from pipeline.study.robust_models import robust_models
from reports.figures.merging import Representations
from reports.names import TABLE_MERGING, TABLE_SURGERY_RANKS, merged_label, model_label
from reports.statistics.condition_scores import EvaluatedModel, ScoredRun
from reports.statistics.merging import (
    INDIVIDUAL,
    JOINT,
    Merging,
    MergingCase,
    MergingSubject,
    measure_merging,
    readable_merging,
    readable_surgery_ranks,
    table_merging,
    table_surgery_ranks,
)

_KEYS = ["frame_id", "corruption", "severity", "mask_warped"]
Array = NDArray[np.float32]


def merging_tables(results: StudyResults) -> dict[str, ReportTable]:
    """The tables of merging; without rows where nothing is merged yet.

    Raises:
        InputError: naming a file whose rows are not what a cell leaves.
    """
    study, found, gaps = results.study, results.once(measured_merging), merging_gaps(results)
    if found is None:
        why = f"Nothing is merged yet. {gaps}".strip()
        empty = pd.DataFrame({"Dataset": [], "Model": []}).set_index("Dataset")
        return {
            TABLE_MERGING: ReportTable(_TITLE, empty, empty, note=why),
            TABLE_SURGERY_RANKS: ReportTable(_RANKS_TITLE, empty, empty, note=why),
        }
    rank = shown_rank(study)
    intervals = " ".join(found.intervals)
    said = " ".join(f"{study_note(study)} Rank of Surgery: {rank}. {found.words(rank)} {intervals} {gaps}".split())
    others = [found.words(other) for other in merging_of(study).surgery.ablation if other != rank]
    ranks = " ".join(f"{_RANKS} {' '.join(others)} {intervals} {gaps}".split())
    return {
        TABLE_MERGING: ReportTable(
            _TITLE,
            table_merging(found, rank),
            readable_merging(found, rank),
            note=f"{_MERGING} {said}",
            protocol=STANDARD,
        ),
        TABLE_SURGERY_RANKS: ReportTable(
            _RANKS_TITLE, table_surgery_ranks(found), readable_surgery_ranks(found), note=ranks, protocol=STANDARD
        ),
    }


_TITLE = "Merged models beside individual and jointly trained ones"
_RANKS_TITLE = "Rank of Surgery"
_MERGING = (
    "Individual models: activity and masks of one single-task model each. Mean: of accuracy and mIoU. Bias: mean L1 between what the heads "
    "of merged and individual models see of test images, mean over tasks. To joint: the mean minus that of the jointly trained model. mPC: "
    "mean over corruptions and severities. Further metrics, and the bias of each task, are in the CSV."
)
_RANKS = (
    "One Surgery module a task, of so many rows; of all models of the study that are merged alike. Epochs and coefficients are chosen on "
    "validation frames. Changes are to the same merger without Surgery, paired."
)


def study_note(study: Study) -> str:
    """How models were chosen, and which unlabelled images were seen."""
    part = merging_of(study).unlabelled
    seen = "unlabelled training images" if part == "train" else "TEST IMAGES, unlabelled, as in the papers of both"
    others = "" if study.training.select_on == "val" else ", unlike elsewhere in this study"
    return f"Epochs and coefficients are chosen on validation frames{others}. AdaMerging and Surgery see {seen}."


def shown_rank(study: Study) -> int:
    """The rank of Surgery that is set beside the others."""
    return int(merging_of(study).surgery.rank)


def measured_merging(results: StudyResults) -> Merging | None:
    """What the tables are of; None where nothing is merged yet."""
    cases = merging_cases(results)
    return measure_merging(cases) if cases else None


def merging_cases(results: StudyResults) -> list[MergingCase]:
    """What is merged, by dataset that it is tested on, backbone and rank of adapters, seeds together; what has no results is left out."""
    study, lacking, cases = results.study, results.missing_models, []
    table = results.table
    if study.protocol != STANDARD:
        table = gather_scores(results, STANDARD, results.present_models, ())
    for groups in _by_seed(study):
        shown = _with_results(groups, lacking)
        if shown:
            trained_on = shown[0].singles[0].dataset
            for dataset in evaluated_on(study, trained_on):
                cases.append(_Case(results, table, shown, dataset).gather())
    return cases


def _with_results(groups: Sequence[MergingGroup], lacking: Mapping[Cell, str]) -> list[MergingGroup]:
    """The seeds that are shown: those with all single and merged models, so that all of them are of the same seeds; where no seed has all,
    the first that has some."""
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
                by_reason.setdefault((under, reason), []).append(_named(study, cell))
    gaps = [f"No results{under} of {', '.join(names)}: {reason}." for (under, reason), names in by_reason.items()]
    if gaps and len(study.seeds) > 1:
        gaps.append(
            "Shown are the seeds that have all single and merged models, or, where none has, the first that has some."
        )
    return " ".join(gaps)


def _named(study: Study, cell: Cell) -> str:
    seed = f" (seed {cell.seed})" if len(study.seeds) > 1 else ""
    return f"{merging_label(study, cell)} on {titles_of(study)[cell.dataset]}{seed}"


def merging_label(study: Study, cell: Cell) -> str:
    """What readers call a single, merged or jointly trained model of a group."""
    return merged_label(cell.merger, cell.surgery) if cell.merger else label_of(study, cell)


def representations_of(results: StudyResults) -> list[Representations]:
    """What the first seed that is shown of each case makes of test images; left out where they are not of the present models.

    Raises:
        InputError: naming a file that cannot be read.
    """
    study, lacking, found = results.study, results.missing_models, []
    rank = shown_rank(study)
    for groups in _by_seed(study):
        for group in _with_results(groups, lacking)[:1]:
            kept = _kept(study, group)
            tasks = [name.partition("/")[2] for name in kept if name.startswith("individual/")]
            merged: dict[str, dict[str, dict[str, Array]]] = {}
            for cell in group.merged:
                if cell.surgery in (0, rank) and kept.get(f"sha256 of {cell.id}") == _checkpoint(results, cell):
                    kind = "with" if cell.surgery else "without"
                    of = {task: kept[f"{cell.merger}-{cell.surgery}/{task}"] for task in tasks}
                    merged.setdefault(cell.merger, {})[kind] = of
            if merged:
                title = titles_of(study)[group.singles[0].dataset]
                backbone = str(study.backbones[group.singles[0].backbone].label)
                individual = {task: kept[f"individual/{task}"] for task in tasks}
                found.append(Representations(title, backbone, individual, merged))
    return found


def _checkpoint(results: StudyResults, cell: Cell) -> str:
    """The digest of a merged model's checkpoint; of one without results nothing fits."""
    try:
        return str(results.provenance(cell)["checkpoint_sha256"])
    except FileNotFoundError:
        return "none"


def _kept(study: Study, group: MergingGroup) -> dict[str, Any]:
    """Representations by name, and the digests of the models that they are of; nothing where they are not there."""
    path = representations_file(study, group)
    if not path.is_file():
        return {}
    try:
        return read_representations(path)
    except InputError as error:
        said = str(error).removeprefix(f"{path}: ")
        raise InputError(f"{path}: no kept representations; {said} Delete it and run snakemake.") from None


def _by_seed(study: Study) -> list[list[MergingGroup]]:
    """Groups that differ in their seed alone, together."""
    found: dict[tuple[str, str, int], list[MergingGroup]] = {}
    for group in merging_groups(study):
        single = group.singles[0]
        found.setdefault((single.dataset, single.backbone, single.rank), []).append(group)
    return list(found.values())


class _Case:
    """Gathers one case. table: long, under the standard protocol. groups: those with results, one a seed. dataset: whose test part."""

    def __init__(
        self, results: StudyResults, table: pd.DataFrame, groups: Sequence[MergingGroup], dataset: str
    ) -> None:
        study = results.study
        self.results, self.study, self.groups, self.lacking = results, study, groups, results.missing_models
        first = groups[0].singles[0]
        self.own = dataset == first.dataset
        self.dataset, self.title = dataset, titles_of(study)[dataset]
        self.backbone = str(study.backbones[first.backbone].label)
        if first.rank != study.lora.rank:
            self.backbone += f", rank {first.rank}"
        self.robust = set(robust_models(study)) - set(results.missing_robust_models)
        whole = (table["corruption"] == "") & (table["class"] == "") & (table["eval_dataset"] == self.dataset)
        self.table = table[whole & (table["dataset"] == first.dataset)]

    def gather(self) -> MergingCase:
        """The case."""
        subjects = [self._subject(INDIVIDUAL, [group.singles for group in self.groups])]
        for index, cell in enumerate(self.groups[0].merged):
            cells = [(group.merged[index],) for group in self.groups if group.merged[index] not in self.lacking]
            if cells:
                subjects.append(self._subject(merged_label(cell.merger, cell.surgery), cells))
        joint = self._best_joint()
        if joint:
            subjects.append(
                self._subject(
                    f"{JOINT}: {model_label('', joint[0].architecture, joint[0].weighting).strip()}",
                    [(cell,) for cell in joint],
                )
            )
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

    def _subject(self, label: str, runs: Sequence[tuple[Cell, ...]]) -> MergingSubject:
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
        return MergingSubject(
            label,
            first.merger,
            first.surgery,
            EvaluatedModel(label, self.title, clean),
            EvaluatedModel(
                label, self.title, [_scored([self.results.reduced(c, scored_run) for c in run]) for run in runs]
            )
            if robust
            else None,
            self._scores(runs),
            {task: [one[task] for one in bias] for task in bias[0]} if bias else {},
            _said([one for one in about if one]),
            int(self.results.provenance(first)["parameters"]["trained"]) if first.merger else 0,
        )

    def _scores(self, runs: Sequence[tuple[Cell, ...]]) -> dict[str, list[float]]:
        found: dict[str, list[float]] = {}
        for run in runs:
            for cell in run:
                of = self.table
                for column, value in (
                    ("backbone", cell.backbone),
                    ("architecture", cell.architecture),
                    ("weighting", "" if cell.merger else cell.weighting),
                    ("merger", cell.merger),
                    ("variant", cell.variant),
                ):
                    of = of[of[column] == value]
                for metric, value in zip(of["metric"], of["value"], strict=True):
                    found.setdefault(metric, []).append(float(value))
        return found


def _together(runs: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The answers of one model, or those of single-task models as one model's: a column of one task comes from the model that has it."""
    whole, *others = runs
    for other in others:
        more = [name for name in other if name not in whole]
        whole = whole.merge(other[[*_KEYS, *more]], on=_KEYS, how="outer", validate="one_to_one")
    return whole


def _scored(runs: Sequence[ScoredRun]) -> ScoredRun:
    """The same of scores."""
    most = max(runs, key=lambda run: len(run.grid.conditions()))
    scores = {name: values for run in runs for name, values in run.of_grid(most.grid, most.images).items()}
    return replace(most, rows=_together([run.rows for run in runs]), scores=scores)


def _said(about: Sequence[Mapping[str, object]]) -> str:
    """What a merger chose, over seeds: the coefficient, or the range of those that were learned."""
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
