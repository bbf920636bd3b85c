"""What chooses an epoch or a coefficient of merging, or shows how a training goes."""

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


def validation_score(study: Study, dataset: str, part: Split, model: MultiTaskModel) -> float:
    """The mean of accuracy and mIoU on the frames of a dataset that choose, of those that the model has."""
    predictions = predict(model, part.images, choose_device())
    activity = None if predictions.activity is None else predictions.activity.argmax(axis=1)
    labels, masks = labels_of(study, dataset), None
    if predictions.masks is not None:
        pairs = zip(part.masks, predictions.masks, strict=True)
        masks = [count_mask(true, predicted, len(labels.classes)) for true, predicted in pairs]
    rows = rows_of_images(part, activity, masks)
    scores = [s["value"] for s in scores_of(rows, labels) if s["metric"] in MAIN and not s["class"]]
    return float(np.mean(scores))
