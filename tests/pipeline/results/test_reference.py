"""The generated page on the columns of results.parquet and of saved rows is current."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from endoarss.metrics import confuse_mask, measure_mask
from pipeline.results.reference import PAGE, RESULTS, columns_page
from reports.results import COLUMNS

ROOT = Path(__file__).parents[3]


def test_the_generated_page_is_current() -> None:
    advice = "run `python -m pipeline.results.reference` and commit what it writes"
    assert (ROOT / PAGE).read_text(encoding="utf-8") == columns_page(), advice


def test_exactly_the_columns_of_results_have_a_meaning() -> None:
    assert set(RESULTS) == set(COLUMNS)


def test_every_measurement_of_masks_is_on_the_page() -> None:
    mask = np.array([[0, 1], [1, 2]], np.uint8).repeat(8, 0).repeat(8, 1)
    measured = {
        re.sub(r"_\d+", "_<i>", name, count=1) for name in measure_mask(mask, mask, 3) | confuse_mask(mask, mask, 3)
    }
    measured = {re.sub(r"_\d+$", "_<j>", name) for name in measured}
    page = columns_page()
    assert len(measured) > 8 and all(f"| `{name}` |" in page for name in measured)
