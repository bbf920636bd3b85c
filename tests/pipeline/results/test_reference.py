"""The page of columns is that of the columns as they are: of results.parquet, and of the rows that an evaluation saves."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from endoarss.metrics import confuse_mask, measure_mask
from pipeline.results.reference import PAGE, RESULTS, columns_page
from reports.results import COLUMNS

ROOT = Path(__file__).parents[3]


def test_the_page_is_that_of_the_columns() -> None:
    advice = "run `python -m pipeline.results.reference` and commit what it writes"
    assert (ROOT / PAGE).read_text(encoding="utf-8") == columns_page(), advice


def test_every_column_of_results_has_a_meaning_and_no_other_has() -> None:
    assert set(RESULTS) == set(COLUMNS)


def test_every_column_that_a_mask_is_measured_in_stands_there() -> None:
    mask = np.array([[0, 1], [1, 2]], np.uint8).repeat(8, 0).repeat(8, 1)
    measured = {
        re.sub(r"_\d+", "_<i>", name, count=1) for name in measure_mask(mask, mask, 3) | confuse_mask(mask, mask, 3)
    }
    measured = {re.sub(r"_\d+$", "_<j>", name) for name in measured}
    page = columns_page()
    assert len(measured) > 8 and all(f"| `{name}` |" in page for name in measured)
