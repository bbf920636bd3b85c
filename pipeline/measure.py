"""From predictions to measurements: scores of a whole split, and one row an image to compute any score from again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from endoarss.metrics import evaluate_classification, pixel_counts, scores_from_counts
from pipeline.datasets.labels import LabelSet
from pipeline.datasets.load import Part

PROTOCOL = "standard"


@dataclass(frozen=True)
class Measured:
    """scores: dicts of metric, class, value, n. per_image: one row an image."""

    scores: list[dict[str, Any]]
    per_image: pd.DataFrame


def measure(
    part: Part,
    truth: NDArray[np.uint8],
    labels: LabelSet,
    activity: NDArray[np.int64] | None,
    masks: NDArray[np.uint8] | None,
) -> Measured:
    """Score predictions against a split.

    Args:
        part: the split. truth: its masks (N, S, S), moved where a corruption moved pixels. labels: of the dataset.
        activity: predicted activities (N,), or None. masks: predicted masks (N, S, S), or None.
    """
    count = len(part.frame_ids)
    scores: list[dict[str, Any]] = []
    rows: dict[str, Any] = {"frame_id": part.frame_ids, "sequence": part.sequences}

    def add(metric: str, value: float, name: str = "", n: int = count) -> None:
        scores.append({"metric": metric, "class": name, "value": None if np.isnan(value) else float(value), "n": n})

    if activity is not None and part.activities is not None:
        rows |= {"activity_true": part.activities, "activity_predicted": activity}
        answers = evaluate_classification(part.activities, activity, len(labels.activities), PROTOCOL)
        add("accuracy", answers.accuracy)
        add("macro_f1", answers.macro_f1)
        add("modal_share", float(np.bincount(activity).max() / count))
        add("predictions_without_support", answers.predictions_without_support)
        for index, name in enumerate(labels.activities):
            add("f1", float(answers.f1[index]), name, int(answers.support[index]))
    if masks is not None:
        classes = len(labels.classes)
        counts = np.stack([pixel_counts(t, p, classes) for t, p in zip(truth, masks, strict=True)])
        for kind, row in zip(("both", "truth", "predicted"), counts.transpose(1, 2, 0), strict=True):
            rows |= {f"{kind}_{index}": row[index] for index in range(classes)}
        overall = scores_from_counts(counts.sum(axis=0))
        add("miou", overall.miou)
        add("dice", overall.dice)
        add("miou_foreground", overall.miou_foreground)
        add("dice_foreground", overall.dice_foreground)
        with_class = (counts[:, 1] > 0).sum(axis=0)
        for index, name in enumerate(labels.classes):
            add("iou", float(overall.iou[index]), name, int(with_class[index]))
            add("dice", float(overall.dice_per_class[index]), name, int(with_class[index]))
    return Measured(scores, pd.DataFrame(rows))
