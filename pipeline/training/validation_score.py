"""Compute the validation score of a model, which selects an epoch or a merging coefficient, or is only written to the history."""

from __future__ import annotations

import numpy as np

from endoarss.devices import choose_device
from endoarss.metrics import count_mask
from endoarss.metrics.catalogue import MAIN
from endoarss.models import MultiTaskModel
from endoarss.prediction import predict
from pipeline.datasets.load import Split
from pipeline.evaluation.measure import rows_of_images
from pipeline.evaluation.scores import scores_of
from pipeline.study.datasets import labels_of
from pipeline.study.models import Study


def validation_score(study: Study, dataset: str, split: Split, model: MultiTaskModel) -> float:
    """Return the mean of accuracy and mIoU on a validation split, over the tasks that the model solves."""
    predictions = predict(model, split.images, choose_device())
    activity = None if predictions.activity is None else predictions.activity.argmax(axis=1)
    labels, masks = labels_of(study, dataset), None
    if predictions.masks is not None:
        pairs = zip(split.masks, predictions.masks, strict=True)
        masks = [count_mask(true, predicted, len(labels.classes)) for true, predicted in pairs]
    rows = rows_of_images(split, activity, masks)
    scores = scores_of(rows, labels)
    return float(np.mean([score["value"] for score in scores if score["metric"] in MAIN and not score["class"]]))
