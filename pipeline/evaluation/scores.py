"""Compute scores from saved rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from endoarss.metrics import STANDARD, scores_of_rows
from pipeline.labels.classes import LabelSet


def scores_of(rows: pd.DataFrame, labels: LabelSet, protocol: str = STANDARD) -> list[dict[str, Any]]:
    """Return the scores of rows, as `endoarss.metrics.scores_of_rows` does.

    Raises:
        ValueError: if a row holds values that no measurement can give.
    """
    return scores_of_columns(columns_of_numbers(rows), labels, protocol)


def columns_of_numbers(rows: pd.DataFrame) -> dict[str, NDArray[Any]]:
    """Return the columns that scores are computed from: all columns of numbers."""
    return {str(name): rows[name].to_numpy() for name in rows.select_dtypes("number")}


def scores_of_columns(
    columns: Mapping[str, NDArray[Any]], labels: LabelSet, protocol: str = STANDARD
) -> list[dict[str, Any]]:
    """Return the scores of rows from their columns, as `columns_of_numbers` returns them.

    Raises:
        ValueError: if a row holds values that no measurement can give.
    """
    if not {"activity_true", "truth_0"} & set(columns):
        return []  # the model predicts only activities, and the dataset has none
    return scores_of_rows(columns, labels.classes, labels.activities, protocol)


def scores_of_whole(scores: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return the scores of all classes together, by metric."""
    return {score["metric"]: score["value"] for score in scores if not score["class"]}
