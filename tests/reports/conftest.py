"""A small long result table with two datasets, three cells, references and corruptions."""

from __future__ import annotations

from itertools import product
from typing import Any

import pandas as pd
import pytest

from reports.results import COLUMNS

CELLS = [("A-net", "hps", "equal"), ("B_net", "mmoe", "db_mtl"), ("B_net", "single_segmentation", "equal")]


def row(**values: Any) -> dict[str, Any]:
    base = dict.fromkeys(COLUMNS, "")
    base |= {"study": "toy", "seed": 0, "synthetic": True, "eval_split": "test", "severity": 0, "mask_warped": True}
    base |= {"resolution": 84, "protocol": "standard", "surgery": False, "n": 10}
    return base | values


@pytest.fixture
def results() -> pd.DataFrame:
    rows = []
    for index, (backbone, architecture, weighting) in enumerate(CELLS):
        cell = {"backbone": backbone, "backbone_label": backbone, "architecture": architecture, "weighting": weighting}
        cell["variant"] = "r4-s0"
        metrics = ["accuracy", "macro_f1", "miou"] if architecture != "single_segmentation" else ["miou"]
        for dataset, metric in product(("mtlesd", "mtlendovis"), metrics):
            about = {**cell, "dataset": dataset, "eval_dataset": dataset, "metric": metric}
            rows.append(row(**about, value=0.9 - 0.1 * index))
        rows.append(row(**cell, dataset="mtlesd", eval_dataset="mtlesd", metric="iou", **{"class": "knife"}, value=0.3))
        for corruption, severity, metric in product(("smoke", "contrast"), (1, 2), metrics):
            about = {**cell, "dataset": "mtlesd", "eval_dataset": "mtlesd", "metric": metric}
            rows.append(
                row(**about, corruption=corruption, severity=severity, value=0.8 - 0.2 * severity - 0.1 * index)
            )
        moved = {
            **cell,
            "dataset": "mtlesd",
            "eval_dataset": "mtlesd",
            "metric": "miou",
            "corruption": "elastic_transform",
        }
        rows += [row(**moved, severity=1, mask_warped=warped, value=0.7 if warped else 0.1) for warped in (True, False)]
    reference = {"backbone": "reference", "backbone_label": "reference", "architecture": "majority_activity"}
    rows.append(row(**reference, dataset="mtlesd", eval_dataset="mtlesd", metric="accuracy", value=0.99))
    return pd.DataFrame(rows, columns=list(COLUMNS))
