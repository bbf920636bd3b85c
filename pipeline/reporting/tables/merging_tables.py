"""Makes the tables of merging: merged models compared with individual and jointly trained models, and ranks of Surgery."""

from __future__ import annotations

import pandas as pd

from endoarss.metrics import STANDARD
from pipeline.reporting.merging import measured_merging, merging_gaps, shown_rank, study_note
from pipeline.reporting.report_table import ReportTable
from pipeline.results.study_results import StudyResults
from pipeline.study.cells import merging_of
from reports.names import TABLE_MERGING, TABLE_SURGERY_RANKS
from reports.statistics.merging import readable_merging, readable_surgery_ranks, table_merging, table_surgery_ranks
from reports.statistics.variation import say_intervals


def merging_tables(results: StudyResults) -> dict[str, ReportTable]:
    """Return the tables of merging, which have no rows if nothing is merged yet.

    Raises:
        InputError: If a file has invalid rows. The message names the file.
    """
    study, merging, gaps = results.study, results.once(measured_merging), merging_gaps(results)
    if merging is None:
        note = f"Nothing is merged yet. {gaps}".strip()
        empty = pd.DataFrame({"Dataset": [], "Model": []}).set_index("Dataset")
        return {
            TABLE_MERGING: ReportTable(_TITLE, empty, empty, note=note),
            TABLE_SURGERY_RANKS: ReportTable(_RANKS_TITLE, empty, empty, note=note),
        }
    rank = shown_rank(study)
    intervals = " ".join([*merging.same, say_intervals(merging.intervals)])
    details = " ".join(
        f"{study_note(study)} Rank of Surgery: {rank}. {merging.note_on_surgery(rank)} {intervals} {gaps}".split()
    )
    others = [merging.note_on_surgery(other) for other in merging_of(study).surgery.ablation if other != rank]
    ranks = " ".join(f"{_RANKS_NOTE} {' '.join(others)} {intervals} {gaps}".split())
    return {
        TABLE_MERGING: ReportTable(
            _TITLE,
            table_merging(merging, rank),
            readable_merging(merging, rank),
            note=f"{_MERGING_NOTE} {details}",
            protocol=STANDARD,
        ),
        TABLE_SURGERY_RANKS: ReportTable(
            _RANKS_TITLE, table_surgery_ranks(merging), readable_surgery_ranks(merging), note=ranks, protocol=STANDARD
        ),
    }


_TITLE = "Merged models compared with individual and jointly trained models"
_RANKS_TITLE = "Rank of Surgery"
_MERGING_NOTE = (
    "Individual models: one single-task model predicts activities, another predicts masks. Mean: the mean of accuracy and mIoU. Bias: the "
    "mean absolute difference (L1) between the features that the heads of the merged and the individual models get from test images, as "
    "the mean over tasks. To joint: the mean minus that of the jointly trained model. mPC: mean over corruptions and severities. Further "
    "metrics, and the bias of each task, are in the CSV."
)
_RANKS_NOTE = (
    "Each task has one Surgery module of the given rank. Epochs and coefficients are chosen on validation frames. Changes are paired "
    "differences from the same merging method without Surgery."
)
