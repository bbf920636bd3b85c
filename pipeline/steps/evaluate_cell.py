"""Score a trained cell on a dataset, and time its predictions."""

from __future__ import annotations

import time

import numpy as np

from endoarss.devices import peak_memory_mib, reset_peak_memory
from endoarss.metrics import STANDARD, count_mask
from endoarss.models import MultiTaskModel
from endoarss.prediction import predict
from pipeline.datasets.load import Part, load_part
from pipeline.files import whole_file, write_json
from pipeline.measure import measure, rows_of_images, scores_of
from pipeline.provenance import choose_device
from pipeline.study import Cell, Study

_TIMED_IMAGES = 512


def evaluate_cell(study: Study, cell: Cell, model: MultiTaskModel, dataset: str) -> None:
    """Write eval/<dataset>/{metrics.json,per_image.parquet,masks.npz} of a trained cell, run in float32 on every device."""
    model.precision = "float32"
    folder = study.cell_folder(cell) / "eval" / dataset
    part = load_part(study.dataset_folder(dataset), "test", study.settings["input_size"])
    predictions = predict(model, part.images, choose_device())
    activity = confidence = None
    if predictions.activity is not None:
        activity, confidence = predictions.activity.argmax(axis=1), predictions.activity.max(axis=1)
    measured = measure(part, part.masks, study.labels(dataset), activity, predictions.masks, confidence)
    with whole_file(folder / "per_image.parquet") as partial:
        measured.per_image.to_parquet(partial, index=False)
    with whole_file(folder / "masks.npz") as partial, partial.open("wb") as stream:
        masks = np.empty((0, 0, 0), np.uint8) if predictions.masks is None else predictions.masks
        np.savez_compressed(stream, frame_id=np.array(part.frame_ids), masks=masks)
    write_json(folder / "metrics.json", {"protocol": STANDARD, "scores": measured.scores})


def validation_score(study: Study, cell: Cell, part: Part, model: MultiTaskModel) -> float:
    """The mean of accuracy and mIoU on the frames that choose the epoch, of those that the model has."""
    predictions = predict(model, part.images, choose_device())
    activity = None if predictions.activity is None else predictions.activity.argmax(axis=1)
    labels, masks = study.labels(cell.dataset), None
    if predictions.masks is not None:
        pairs = zip(part.masks, predictions.masks, strict=True)
        masks = [count_mask(true, predicted, len(labels.classes)) for true, predicted in pairs]
    rows = rows_of_images(part, activity, masks)
    scores = [s["value"] for s in scores_of(rows, labels) if s["metric"] in ("accuracy", "miou") and not s["class"]]
    return float(np.mean(scores))


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
