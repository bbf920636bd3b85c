"""The evaluator of a test set. It measures predictions image by image, stores one row per image, and returns all scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from endoarss.arrays import to_mask, to_numpy
from endoarss.metrics.protocol import STANDARD
from endoarss.metrics.rows import Score, confuse_mask, measure_mask, scores_of_rows

_ROUNDING = 1e-5  # a softmax in float32 may exceed 1 by its last bits


class Evaluator:
    """Collects the measurements of a test set, in the order in which images are added.

    Args:
        classes: the names of the mask ids, the background first.
        activities: the names of the activity ids; empty if there are none.
    """

    def __init__(self, classes: Sequence[str], activities: Sequence[str] = ()) -> None:
        self.classes, self.activities = tuple(classes), tuple(activities)
        self.rows: list[dict[str, float]] = []

    def add(
        self,
        *,
        mask: tuple[ArrayLike, ArrayLike] | None = None,
        activity: tuple[ArrayLike, ArrayLike] | None = None,
    ) -> None:
        """Measure one image and store its row. Arrays and torch tensors on any device give the same bits.

        Args:
            mask: ground truth and prediction, integers (H, W); pixels whose true value is `IGNORED` are left out.
            activity: the true id, and the predicted id or the predicted probabilities (K,).

        Raises:
            ValueError: if mask and activity are both missing, or not the same ones are given as for the first image; if an id is not one of
                the activities; if there are not K probabilities in 0..1; or if the masks cannot be measured (see `measure_mask`).
        """
        row: dict[str, float] = {}
        if activity is not None:
            row |= self._activity_columns(*activity)
        if mask is not None:
            truth, predicted = map(to_mask, mask)
            row |= measure_mask(truth, predicted, len(self.classes)) | confuse_mask(truth, predicted, len(self.classes))
        if not row or (self.rows and row.keys() != self.rows[0].keys()):
            raise ValueError("every image needs an activity, a mask, or both; expected the same ones for all images.")
        self.rows.append(row)

    def _activity_columns(self, true: ArrayLike, prediction: ArrayLike) -> dict[str, float]:
        """Return the columns of the activity; the prediction is an id, or the probabilities (K,)."""
        true_label, predicted = to_numpy(true), to_numpy(prediction)
        for label in (true_label, *([predicted] if predicted.ndim == 0 else [])):
            if label.ndim or label not in range(len(self.activities)):
                raise ValueError(f"activity {label}; expected an integer in 0..{len(self.activities) - 1}.")
        if predicted.ndim == 0:
            return {"activity_true": int(true_label), "activity_predicted": int(predicted)}
        if predicted.shape != (len(self.activities),):
            raise ValueError(
                f"probabilities of shape {predicted.shape}; expected ({len(self.activities)},), one per activity."
            )
        if not np.isfinite(predicted).all():
            raise ValueError("some probabilities are not finite.")
        if predicted.min() < -_ROUNDING or predicted.max() > 1 + _ROUNDING:
            raise ValueError(
                f"probabilities from {predicted.min():.4g} to {predicted.max():.4g}; expected 0 to 1. For logits, pass their softmax."
            )
        best = int(predicted.argmax())
        return {
            "activity_true": int(true_label),
            "activity_predicted": best,
            "activity_confidence": min(float(predicted[best]), 1.0),
        }

    def columns(self) -> dict[str, NDArray[np.float64]]:
        """Return the rows as columns of N values."""
        return {name: np.array([row[name] for row in self.rows]) for name in self.rows[0]} if self.rows else {}

    def scores(self, protocol: str = STANDARD) -> list[Score]:
        """Return all scores, as `scores_of_rows`.

        Args:
            protocol: "standard" or "authors_code".

        Returns:
            One dict per score, with the keys metric, class, value and n.

        Raises:
            ValueError: if no image was added, or all pixels of all masks are ignored.
            UnknownNameError: if the protocol is not known.
        """
        if not self.rows:
            raise ValueError("no image was added.")
        return scores_of_rows(self.columns(), self.classes, self.activities, protocol)
