"""Selecting the rows of a cell in the long table."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from pipeline.reporting.models import rows_of_cell
from pipeline.study.cell import MERGED, Cell


def test_rows_of_a_trained_or_merged_cell_belong_to_no_other_cell() -> None:
    cell = Cell("mtlesd", "resnet", "hps", "equal", 4, 0)
    merged = replace(cell, architecture=MERGED, weighting="ties", surgery=16)
    others = [replace(cell, seed=1), replace(cell, dataset="mtlendovis"), replace(merged, weighting="mean")]
    table = pd.DataFrame(
        {
            "dataset": one.dataset,
            "backbone": one.backbone,
            "architecture": one.architecture,
            "weighting": "" if one.merger else one.weighting,
            "merger": one.merger,
            "variant": one.variant,
            "value": value,
        }
        for value, one in enumerate([cell, merged, *others])
    )
    assert rows_of_cell(table, cell)["value"].tolist() == [0]
    assert rows_of_cell(table, merged)["value"].tolist() == [1]
    assert rows_of_cell(table, replace(cell, seed=7)).empty
