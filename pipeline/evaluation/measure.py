"""From predictions to rows, one an image, and back from kept rows to scores: rows are kept, so that any score can be computed again
without the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from endoarss.metrics import STANDARD, confuse_mask, measure_mask, scores_of_rows
from pipeline.datasets.load import Part
from pipeline.labels.classes import LabelSet


@dataclass(frozen=True)
class Measured:
    """scores: dicts of metric, class, value, n, in the standard protocol. per_image: one row an image."""

    scores: list[dict[str, Any]]
    per_image: pd.DataFrame


def measure(
    part: Part,
    truth: NDArray[np.uint8],
    labels: LabelSet,
    activity: NDArray[np.int64] | None,
    masks: NDArray[np.uint8] | None,
    confidence: NDArray[np.float32] | None = None,
) -> Measured:
    """Measure predictions against a split.

    Args:
        part: the split. truth: its masks (N, S, S). labels: of the dataset.
        activity: predicted activities (N,), or None. masks: predicted masks (N, S, S), or None. confidence: the probability (N,) that each
        predicted activity was given, where it is known.
    """
    measured = None
    if masks is not None:
        classes = len(labels.classes)
        pairs = list(zip(truth, masks, strict=True))
        measured = [measure_mask(*pair, classes) | confuse_mask(*pair, classes) for pair in pairs]
    rows = rows_of_images(part, activity, measured, confidence)
    return Measured(scores_of(rows, labels), rows)


def rows_of_images(
    part: Part,
    activity: NDArray[np.int64] | None,
    masks: Sequence[dict[str, float]] | None,
    confidence: NDArray[np.float32] | None = None,
) -> pd.DataFrame:
    """One row an image: frame_id, sequence, activity_true, activity_predicted, activity_confidence, as far as they are known, and
    what was measured of the masks.

    Args:
        part: the split. activity, confidence: as `measure` takes them. masks: what is kept of each mask, or None.
    """
    about: dict[str, Any] = {"frame_id": part.frame_ids, "sequence": part.sequences}
    if activity is not None and part.activities is not None:
        about |= {"activity_true": part.activities, "activity_predicted": activity}
        about |= {} if confidence is None else {"activity_confidence": confidence}
    rows = pd.DataFrame(about)
    return rows if masks is None else pd.concat([rows, pd.DataFrame(masks)], axis=1)


def scores_of(rows: pd.DataFrame, labels: LabelSet, protocol: str = STANDARD) -> list[dict[str, Any]]:
    """The scores of rows, as `endoarss.metrics.scores_of_rows` gives them.

    Raises:
        ValueError: if a row holds what no measurement gives.
    """
    return scores_of_columns(columns_of_numbers(rows), labels, protocol)


def columns_of_numbers(rows: pd.DataFrame) -> dict[str, NDArray[Any]]:
    """Return the columns of rows that scores are computed from: all but texts."""
    return {str(name): rows[name].to_numpy() for name in rows.select_dtypes("number")}


def scores_of_columns(
    columns: Mapping[str, NDArray[Any]], labels: LabelSet, protocol: str = STANDARD
) -> list[dict[str, Any]]:
    """Return the scores of rows, given as `columns_of_numbers`.

    Raises:
        ValueError: as `scores_of`.
    """
    if not {"activity_true", "truth_0"} & set(columns):
        return []  # a dataset without activities, and a model that tells nothing else
    return scores_of_rows(columns, labels.classes, labels.activities, protocol)
