"""The tables of merging: merged models compared with individual and jointly trained ones, and ranks of Surgery."""

from __future__ import annotations

import pandas as pd

from endoarss.metrics import STANDARD
from pipeline.reporting.merging import measured_merging, merging_gaps, shown_rank, study_note
from pipeline.reporting.report_table import ReportTable
from pipeline.results.study_results import StudyResults
from pipeline.study.cells import merging_of
from reports.names import TABLE_MERGING, TABLE_SURGERY_RANKS
from reports.statistics.merging import readable_merging, readable_surgery_ranks, table_merging, table_surgery_ranks


def merging_tables(results: StudyResults) -> dict[str, ReportTable]:
    """Return the tables of merging; they have no rows if nothing is merged yet.

    Raises:
        InputError: If a file has invalid rows; the message names it.
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
    intervals = " ".join([*found.same, *found.intervals])
    details = " ".join(
        f"{study_note(study)} Rank of Surgery: {rank}. {found.note_on_surgery(rank)} {intervals} {gaps}".split()
    )
    others = [found.note_on_surgery(other) for other in merging_of(study).surgery.ablation if other != rank]
    ranks = " ".join(f"{_RANKS} {' '.join(others)} {intervals} {gaps}".split())
    return {
        TABLE_MERGING: ReportTable(
            _TITLE,
            table_merging(found, rank),
            readable_merging(found, rank),
            note=f"{_MERGING} {details}",
            protocol=STANDARD,
        ),
        TABLE_SURGERY_RANKS: ReportTable(
            _RANKS_TITLE, table_surgery_ranks(found), readable_surgery_ranks(found), note=ranks, protocol=STANDARD
        ),
    }


_TITLE = "Merged models compared with individual and jointly trained models"
_RANKS_TITLE = "Rank of Surgery"
_MERGING = (
    "Individual models: one single-task model predicts activities, another predicts masks. Mean: the mean of accuracy and mIoU. Bias: the "
    "mean absolute difference (L1) between the features that the heads of merged and of individual models get from test images, mean over "
    "tasks. To joint: the mean minus the mean of the jointly trained model. mPC: mean over corruptions and severities. Further metrics, "
    "and the bias of each task, are in the CSV."
)
_RANKS = (
    "Each task has one Surgery module of the given rank. Epochs and coefficients are chosen on validation frames. Changes are relative to "
    "the same merging method without Surgery, paired."
)
