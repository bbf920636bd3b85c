"""Measure predictions: one row per image. The rows are saved, and every score is computed from them, without the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from endoarss.metrics import confuse_mask, measure_mask
from pipeline.datasets.load import Split
from pipeline.labels.classes import LabelSet


def measure(
    split: Split,
    truth: NDArray[np.uint8],
    labels: LabelSet,
    activity: NDArray[np.int64] | None,
    masks: NDArray[np.uint8] | None,
    confidence: NDArray[np.float32] | None = None,
) -> pd.DataFrame:
    """Measure predictions, and return one row per image, as `rows_of_images` does.

    Args:
        split: the split with N images.
        truth: true masks (N, S, S).
        labels: classes and activities of the dataset.
        activity: predicted activities (N,), or None.
        masks: predicted masks (N, S, S), or None.
        confidence: probability (N,) of each predicted activity, or None if it is unknown.
    """
    measurements = None
    if masks is not None:
        classes = len(labels.classes)
        pairs = tqdm(list(zip(truth, masks, strict=True)), desc="measure", unit="image", mininterval=1.0, delay=2.0)
        measurements = [measure_mask(*pair, classes) | confuse_mask(*pair, classes) for pair in pairs]
    return rows_of_images(split, activity, measurements, confidence)


def rows_of_images(
    split: Split,
    activity: NDArray[np.int64] | None,
    masks: Sequence[dict[str, float]] | None,
    confidence: NDArray[np.float32] | None = None,
) -> pd.DataFrame:
    """Return one row per image: frame_id, sequence, and, if known, activity_true, activity_predicted, activity_confidence and
    the measurements of the mask.

    Args:
        split: the split with N images.
        activity: predicted activities (N,), or None.
        masks: the measurements of each of the N masks, or None.
        confidence: probability (N,) of each predicted activity, or None if it is unknown.
    """
    columns: dict[str, Any] = {"frame_id": split.frame_ids, "sequence": split.sequences}
    if activity is not None and split.activities is not None:
        columns |= {"activity_true": split.activities, "activity_predicted": activity}
        columns |= {} if confidence is None else {"activity_confidence": confidence}
    rows = pd.DataFrame(columns)
    return rows if masks is None else pd.concat([rows, pd.DataFrame(masks)], axis=1)
