"""Let a trained cell answer on its test splits, and time it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from endoarss.devices import choose_device, peak_memory_mib, reset_peak_memory
from endoarss.errors import TrainingError
from endoarss.models import MultiTaskModel
from endoarss.prediction import predict
from pipeline.datasets.load import Split, load_split
from pipeline.io.hashing import sha256_of
from pipeline.results.paths import predictions_file
from pipeline.results.predictions import SavedPredictions, what_is_wrong, write_predictions
from pipeline.study.cell import Cell
from pipeline.study.datasets import evaluated_on, labels_of
from pipeline.study.folders import dataset_folder
from pipeline.study.models import Study

_TIMED_IMAGES = 512


def predict_cell(study: Study, cell: Cell, model: MultiTaskModel) -> dict[str, SavedPredictions]:
    """Return what a cell's model predicts on every dataset it is tested on, run in float32 on every device.

    Raises:
        InputError: if a dataset is not built. TrainingError: if predictions are not numbers of their range.
    """
    found = {}
    for dataset in evaluated_on(study, cell.dataset):
        part = load_split(dataset_folder(study, dataset), "test", study.input_size)
        found[dataset] = predictions_of(model, part)
        wrong = what_is_wrong(found[dataset], labels_of(study, dataset))
        if wrong:
            raise TrainingError(
                f"{cell.id}: its predictions on {dataset} are not usable: {wrong}. Nothing was replaced."
            )
    return found


def save_predictions(
    study: Study, cell: Cell, predictions: Mapping[str, SavedPredictions], beside: Callable[[Path], Path]
) -> dict[str, str]:
    """Write predictions/<dataset>.npz of a cell and return their SHA-256 by dataset.

    Args:
        predictions: of `predict_cell`. beside: of `whole_files`.
    """
    digests = {}
    for dataset, kept in predictions.items():
        path = beside(predictions_file(study, cell, dataset))
        write_predictions(path, kept)
        digests[dataset] = sha256_of(path)
    return digests


def predictions_of(model: MultiTaskModel, part: Split) -> SavedPredictions:
    """What a model, in float32, says of a part."""
    model.precision = "float32"
    given = predict(model, part.images, choose_device())
    activity = confidence = None
    if given.activity is not None:
        activity, confidence = given.activity.argmax(axis=1), given.activity.max(axis=1)
    return SavedPredictions(part.frame_ids, activity, confidence, given.masks)


def cost_of_inference(study: Study, cell: Cell, model: MultiTaskModel) -> dict[str, float]:
    """Return images per second and peak memory (MiB) of predictions on test images, in the study's precision.

    Not compiled, as all predictions here. What is not timed first: every batch size, since kernels are chosen for each.
    """
    device, batch = choose_device(), study.training.batch_size
    model.precision = study.training.precision
    part = load_split(dataset_folder(study, cell.dataset), "test", study.input_size)
    images = np.array(part.images[:_TIMED_IMAGES])
    model.zero_grad(set_to_none=True)
    reset_peak_memory(device)
    for count in {min(batch, len(images)), len(images) % batch} - {0}:
        predict(model, images[:count], device, batch)
    started = time.perf_counter()
    predict(model, images, device, batch)
    seconds = time.perf_counter() - started
    return {"images_per_second": len(images) / seconds, "memory_mib": peak_memory_mib(device)}
