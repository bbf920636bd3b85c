"""From predictions to rows, one an image: rows are kept, so that any score can be computed again without the model."""

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
    part: Split,
    truth: NDArray[np.uint8],
    labels: LabelSet,
    activity: NDArray[np.int64] | None,
    masks: NDArray[np.uint8] | None,
    confidence: NDArray[np.float32] | None = None,
) -> pd.DataFrame:
    """Measure predictions against a split: one row an image, as `rows_of_images` gives them.

    Args:
        part: the split. truth: its masks (N, S, S). labels: of the dataset.
        activity: predicted activities (N,), or None. masks: predicted masks (N, S, S), or None. confidence: the probability (N,) that each
        predicted activity was given, where it is known.
    """
    measured = None
    if masks is not None:
        classes = len(labels.classes)
        pairs = tqdm(list(zip(truth, masks, strict=True)), desc="measure", unit="image", mininterval=1.0, delay=2.0)
        measured = [measure_mask(*pair, classes) | confuse_mask(*pair, classes) for pair in pairs]
    return rows_of_images(part, activity, measured, confidence)


def rows_of_images(
    part: Split,
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
