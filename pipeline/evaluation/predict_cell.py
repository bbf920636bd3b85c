"""Predict with the model of a cell on its test splits, and measure its speed and memory."""

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
    """Return the predictions of a cell's model, run in float32, by dataset that the cell is evaluated on.

    Raises:
        InputError: if a dataset is not built.
        TrainingError: if predictions are not finite or out of range.
    """
    predictions = {}
    for dataset in evaluated_on(study, cell.dataset):
        split = load_split(dataset_folder(study, dataset), "test", study.input_size)
        predictions[dataset] = predictions_of(model, split)
        wrong = what_is_wrong(predictions[dataset], labels_of(study, dataset))
        if wrong:
            raise TrainingError(
                f"{cell.id}: its predictions on {dataset} are not usable: {wrong}. Nothing was replaced."
            )
    return predictions


def save_predictions(
    study: Study, cell: Cell, predictions: Mapping[str, SavedPredictions], temporary: Callable[[Path], Path]
) -> dict[str, str]:
    """Write predictions/<dataset>.npz of a cell. Return their SHA-256 by dataset.

    Args:
        study: the study.
        cell: the cell.
        predictions: as `predict_cell` returns them.
        temporary: the function that `whole_files` yields.
    """
    digests = {}
    for dataset, prediction in predictions.items():
        path = temporary(predictions_file(study, cell, dataset))
        write_predictions(path, prediction)
        digests[dataset] = sha256_of(path)
    return digests


def predictions_of(model: MultiTaskModel, split: Split) -> SavedPredictions:
    """Return the predictions of a model, run in float32, on a split."""
    model.precision = "float32"
    prediction = predict(model, split.images, choose_device())
    activity = confidence = None
    if prediction.activity is not None:
        activity, confidence = prediction.activity.argmax(axis=1), prediction.activity.max(axis=1)
    return SavedPredictions(split.frame_ids, activity, confidence, prediction.masks)


def cost_of_inference(study: Study, cell: Cell, model: MultiTaskModel) -> dict[str, float]:
    """Return images per second and peak memory (MiB) of predictions on test images, in the study's precision.

    The model is not compiled. Each batch size runs once before the timing, because a device chooses kernels at the first run of a size.
    """
    device, batch = choose_device(), study.training.batch_size
    model.precision = study.training.precision
    split = load_split(dataset_folder(study, cell.dataset), "test", study.input_size)
    images = np.array(split.images[:_TIMED_IMAGES])
    model.zero_grad(set_to_none=True)
    reset_peak_memory(device)
    for count in {min(batch, len(images)), len(images) % batch} - {0}:
        predict(model, images[:count], device, batch)
    started = time.perf_counter()
    predict(model, images, device, batch)
    seconds = time.perf_counter() - started
    return {"images_per_second": len(images) / seconds, "memory_mib": peak_memory_mib(device)}
