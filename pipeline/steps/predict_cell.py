"""Let a trained cell answer on its test parts, and time it."""

from __future__ import annotations

import time

import numpy as np

from endoarss.devices import peak_memory_mib, reset_peak_memory
from endoarss.models import MultiTaskModel
from endoarss.prediction import predict
from pipeline.datasets.load import Part, load_part
from pipeline.files import read_json, sha256_of, write_json
from pipeline.layout import predictions_file
from pipeline.predictions import KeptPredictions, write_predictions
from pipeline.provenance import choose_device
from pipeline.study import Cell, Study

_TIMED_IMAGES = 512


def predict_cell(study: Study, cell: Cell, model: MultiTaskModel) -> None:
    """Write predictions/<dataset>.npz of a trained cell for every dataset it is tested on, run in float32 on every device."""
    for dataset in study.evaluated_on(cell.dataset):
        part = load_part(study.dataset_folder(dataset), "test", study.settings["input_size"])
        write_predictions(predictions_file(study, cell, dataset), answers_of(model, part))


def answers_of(model: MultiTaskModel, part: Part) -> KeptPredictions:
    """What a model, in float32, says of a part."""
    model.precision = "float32"
    given = predict(model, part.images, choose_device())
    activity = confidence = None
    if given.activity is not None:
        activity, confidence = given.activity.argmax(axis=1), given.activity.max(axis=1)
    return KeptPredictions(part.frame_ids, activity, confidence, given.masks)


def predictions_sha256(study: Study, cell: Cell) -> dict[str, str]:
    """The SHA-256 of a cell's kept predictions, by dataset."""
    return {name: sha256_of(predictions_file(study, cell, name)) for name in study.evaluated_on(cell.dataset)}


def note_predictions(study: Study, cell: Cell) -> None:
    """Write the digests of predictions that were made again into the cell's provenance.

    Raises:
        FileNotFoundError: if the cell has none, for it is not trained. InputError: if it cannot be read.
    """
    path = study.cell_folder(cell) / "provenance.json"
    write_json(path, read_json(path) | {"predictions_sha256": predictions_sha256(study, cell)})


def cost_of_inference(study: Study, cell: Cell, model: MultiTaskModel) -> dict[str, float]:
    """Images a second and peak memory (MiB) of predictions on test images, in the study's precision; the first batch, in which
    kernels are chosen, is not timed."""
    device, batch = choose_device(), study.settings["training"]["batch_size"]
    model.precision = study.settings["training"]["precision"]
    part = load_part(study.dataset_folder(cell.dataset), "test", study.settings["input_size"])
    images = np.array(part.images[:_TIMED_IMAGES])
    model.zero_grad(set_to_none=True)
    reset_peak_memory(device)
    predict(model, images[:batch], device, batch)
    started = time.perf_counter()
    predict(model, images, device, batch)
    seconds = time.perf_counter() - started
    return {"images_per_second": len(images) / seconds, "memory_mib": peak_memory_mib(device)}
