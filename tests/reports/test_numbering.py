"""Tables and figures have one number, and one order, wherever they are shown."""

from __future__ import annotations

from reports.numbering import numbered

TABLES = [
    "table_cost",
    "table3_mtlendovis",
    "table_own",
    "table3_mtlendovis_against_paper",
    "table1_datasets",
    "merging",
]


def test_what_the_paper_has_keeps_its_number() -> None:
    assert numbered(TABLES, True) == {
        "table1_datasets": "1",
        "table3_mtlendovis": "3",
        "table3_mtlendovis_against_paper": "3b",
        "table_own": "S1",
        "merging": "S2",
        "table_cost": "S3",
    }
    assert numbered(["fig_cost", "fig6_severity", "contact_x"], True) == {
        "contact_x": "S1",
        "fig6_severity": "6",
        "fig_cost": "S2",
    }


def test_without_the_paper_everything_is_counted() -> None:
    found = numbered(TABLES, False)
    assert list(found) == list(numbered(TABLES, True)) and list(found.values()) == [*"123456"]
