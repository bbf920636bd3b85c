"""Computes confusion matrices: activities are counted in images, classes in pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reports.statistics.condition_scores import EvaluatedModel

COLUMNS = ["dataset", "model", "task", "true", "predicted", "count"]


def activity_confusion(rows: pd.DataFrame, activities: int) -> NDArray[np.int64]:
    """Count images by true and predicted activity.

    Args:
        rows: Rows with the columns activity_true and activity_predicted.
        activities: Number of activities.

    Returns:
        Array (true activities, predicted activities).
    """
    pairs = rows["activity_true"].to_numpy(np.int64) * activities + rows["activity_predicted"].to_numpy(np.int64)
    return np.bincount(pairs, minlength=activities**2).reshape(activities, activities)


def pixel_confusion(rows: pd.DataFrame, classes: int) -> NDArray[np.int64]:
    """Count pixels by true and predicted class.

    Args:
        rows: Rows with the columns pixels_<i>_<j>: the pixels of class i that are predicted as class j.
        classes: Number of classes, background included.

    Returns:
        Array (true classes, predicted classes).
    """
    names = [f"pixels_{i}_{j}" for i in range(classes) for j in range(classes)]
    return rows[names].to_numpy(np.int64).sum(axis=0).reshape(classes, classes)


def table_confusion(model: EvaluatedModel, classes: Sequence[str], activities: Sequence[str]) -> pd.DataFrame:
    """Return the confusion matrices of a model, summed over seeds, as a table with one row per count above 0.

    Args:
        model: A model with rows of clean images.
        classes: Names of the classes.
        activities: Names of the activities.

    Returns:
        A table with the column "count", indexed by the other columns of `COLUMNS`.
    """
    rows = pd.concat(model.runs, ignore_index=True)
    counted = []
    if model.predicts_activities:
        counted.append(("activities (images)", activities, activity_confusion(rows, len(activities))))
    if "pixels_0_0" in rows:
        counted.append(("classes (pixels)", classes, pixel_confusion(rows, len(classes))))
    long = [
        (model.dataset, model.label, task, names[i], names[j], int(counts[i, j]))
        for task, names, counts in counted
        for i, j in zip(*np.nonzero(counts), strict=True)
    ]
    return pd.DataFrame(long, columns=COLUMNS).set_index(COLUMNS[:-1])
