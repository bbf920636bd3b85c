"""From kept rows to scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from endoarss.metrics import STANDARD, scores_of_rows
from pipeline.labels.classes import LabelSet


def scores_of(rows: pd.DataFrame, labels: LabelSet, protocol: str = STANDARD) -> list[dict[str, Any]]:
    """The scores of rows, as `endoarss.metrics.scores_of_rows` gives them.

    Raises:
        ValueError: if a row holds what no measurement gives.
    """
    columns = {name: rows[name].to_numpy() for name in rows}
    if not {"activity_true", "truth_0"} & set(columns):
        return []  # a dataset without activities, and a model that tells nothing else
    return scores_of_rows(columns, labels.classes, labels.activities, protocol)


def scores_of_whole(scores: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Those of all classes together, by metric."""
    return {score["metric"]: score["value"] for score in scores if not score["class"]}
