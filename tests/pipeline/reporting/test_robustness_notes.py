"""The notes below the tables of robustness."""

from __future__ import annotations

import pytest

from pipeline.reporting.robustness import robustness_tables
from reports import names
from tests.reports.test_robustness import answers, measured, model


@pytest.mark.parametrize("activities", [True, False])
def test_accuracy_is_named_only_where_activities_are_predicted(activities: bool) -> None:
    rows = answers(1)
    if not activities:
        rows = rows.drop(columns=["activity_true", "activity_predicted"])
    for name, table in robustness_tables(measured(model("A", rows))).items():
        in_note = "accuracy" in table.full_note.lower()
        assert in_note == (activities and name == names.TABLE_ROBUSTNESS), table.full_note


def test_only_columns_of_the_summary_are_explained() -> None:
    models = [model("A", answers(1)), model("B", answers(2))]
    for baseline in (None, "A"):
        found = robustness_tables(measured(*models, baseline=baseline))[names.TABLE_ROBUSTNESS_SUMMARY]
        assert found.shown is not None
        assert ("mCE" in found.note) == ("mCE" in found.shown) == bool(baseline)
        assert "Worst corruption: " in found.note
