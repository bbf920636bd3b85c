"""Estimate the cost of a study: disk space of datasets and checkpoints, and the time of each cell, measured on this machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from endoarss.checkpoints import frozen_names, without_weights
from endoarss.data import LabelledImages
from endoarss.devices import choose_device
from endoarss.models import build_model
from endoarss.prediction import predict
from endoarss.registry import WEIGHTINGS
from endoarss.training import seed_everything, train
from pipeline.datasets.card import read_card
from pipeline.datasets.load import Split
from pipeline.evaluation.corrupted_batches import corrupted_batches
from pipeline.io.processes import processes
from pipeline.labels.splits import TEST, TRAIN
from pipeline.study.cell import Cell
from pipeline.study.cells import schedule_of, trainings_of
from pipeline.study.conditions import conditions_of
from pipeline.study.datasets import kind_name, kind_of, labels_of
from pipeline.study.folders import dataset_folder
from pipeline.study.models import Study
from pipeline.study.robust_models import keeps_corrupted, robust_models
from pipeline.training.model_settings import model_settings, training_settings

# A built frame with its mask: five real EndoVis 2017 frames, cropped to 1280x1024 pixels, take 1.29 to 1.40 MB.
_BYTES_PER_PIXEL = 1.07
_PIXELS_PER_FRAME = 1280 * 1024
_TIMED_STEPS = {
    "cuda": 3,
    "cpu": 1,
}  # training steps whose median counts; a CPU needs seconds for a step, and steps differ little
_CPU_BATCH = 2  # images per batch; on a CPU the time per image hardly depends on this number


@dataclass(frozen=True)
class Cost:
    """Estimated cost of a cell: seconds of its training, and of its robustness evaluation (0 if it has none)."""

    cell: Cell
    training: float
    robustness: float


@dataclass(frozen=True)
class _Speed:
    """Seconds per image in training and in prediction; 0 for prediction if it was not timed."""

    training: float
    prediction: float


def frames_of(study: Study, dataset: str) -> dict[str, int]:
    """Return the number of frames by split: of the built dataset, or else of a complete dataset, whose two splits are taken as 4 to 1."""
    folder = dataset_folder(study, dataset)
    if (folder / "dataset.json").is_file():
        counts: dict[str, int] = read_card(folder)["frames_by_split"]
        return counts
    kind, generated = kind_name(study, dataset), study.raw.generate
    frames = kind_of(study, dataset).frames or 0
    if generated is not None and kind == "mtlendovis_gen":
        frames //= generated.endovis2017_every
    elif generated is not None:
        frames = generated.esd_frames if kind == "mtlesd" else generated.endovis2018_frames
    return {TEST: frames} if kind == "mtlendovis_gen" else {TRAIN: frames - frames // 5, TEST: frames // 5}


def disk_of(study: Study, dataset: str) -> tuple[int, int]:
    """Return the bytes of a built dataset's images and masks, and of its arrays at the study's size."""
    frames = sum(frames_of(study, dataset).values())
    folder, size = dataset_folder(study, dataset), study.input_size
    pixels = _PIXELS_PER_FRAME if study.raw.generate is None else study.raw.generate.height * study.raw.generate.width
    pictures = [path for name in ("images", "masks") for path in (folder / name).glob("*.png")]
    built = sum(path.stat().st_size for path in pictures) if pictures else round(frames * pixels * _BYTES_PER_PIXEL)
    return built, frames * size * size * 4


def checkpoint_bytes_of(study: Study) -> int:
    """Return the bytes of the checkpoints of all trainings, computed from the shapes of the saved tensors."""
    sizes: dict[tuple[str, str, int], int] = {}
    total = 0
    for cell in trainings_of(study):
        key = cell.backbone, cell.architecture, cell.rank
        if key not in sizes:
            with torch.device("meta"):
                model = build_model(without_weights(model_settings(study, cell)))
            frozen = frozen_names(model)
            sizes[key] = sum(tensor.nbytes for name, tensor in model.state_dict().items() if name not in frozen)
        total += sizes[key]
    return total


def timed_models(study: Study) -> dict[str, list[Cell]]:
    """Return the models to time, each combination of backbone, architecture and weighting once, with the trainings of each.

    Trainings on datasets with an unknown number of frames are left out.
    """
    models: dict[str, list[Cell]] = {}
    for cell in trainings_of(study):
        if frames_of(study, cell.dataset).get(TRAIN, 0):
            models.setdefault(f"{cell.backbone} {cell.architecture} {cell.weighting}", []).append(cell)
    return models


def cost_of_cells(study: Study) -> Iterator[Cost]:
    """Yield the cost of each training in `timed_models`, as soon as its model is timed.

    Each model runs a few steps on this machine, with random weights and images. The cost is the seconds per image times the number of
    frames and the number of epochs or conditions. A robustness evaluation includes the time of corrupting its images in one process,
    unless the study stores corrupted images.
    """
    models, robust, conditions = timed_models(study), set(robust_models(study)), conditions_of(study)
    count = len(conditions.corruptions) * len(conditions.severities)
    corrupts = not keeps_corrupted(study) and any(not robust.isdisjoint(cells) for cells in models.values())
    corrupting = _seconds_of_corrupting(study) if corrupts else 0.0
    for number, (name, cells) in enumerate(models.items(), 1):
        label = f"timing model {number} of {len(models)}: {name}"
        speed = _time_model(study, cells[0], label, predicts=not robust.isdisjoint(cells))
        for cell in cells:
            frames, epochs = frames_of(study, cell.dataset), schedule_of(study, cell).epochs
            robustness = frames.get(TEST, 0) * (count * speed.prediction + corrupting) * (cell in robust)
            yield Cost(cell, frames[TRAIN] * epochs * speed.training, robustness)


def _time_model(study: Study, cell: Cell, label: str, predicts: bool) -> _Speed:
    device, size = choose_device(), study.input_size
    labels = labels_of(study, cell.dataset)
    seed_everything(0)
    model = build_model(without_weights(model_settings(study, cell)))  # downloads nothing
    batch = study.training.batch_size if device.type == "cuda" else _CPU_BATCH
    random = np.random.default_rng(0)
    data = LabelledImages(
        random.integers(0, 256, (batch, size, size, 3), np.uint8),
        random.integers(0, len(labels.classes), (batch, size, size), np.uint8),
        random.integers(0, max(1, len(labels.activities)), batch) if labels.activities else None,
    )
    real_schedule = training_settings(study, cell)
    settings = dict(real_schedule.weighting_settings)
    if "warmup_epochs" in WEIGHTINGS.settings(real_schedule.weighting):
        settings |= {"warmup_epochs": 0}
    # The first step is slower than the others, because memory is allocated and kernels are chosen.
    epochs = 1 + _TIMED_STEPS[device.type]
    schedule = replace(real_schedule, epochs=epochs, learning_rate=1e-6, batch_size=batch, weighting_settings=settings)
    history = train(model, data, schedule, device, label)
    training = statistics.median(row["seconds"] for row in history[1:]) / batch
    if not predicts:
        return _Speed(training, 0.0)
    model.precision = "float32"  # the precision of robustness evaluations
    predict(model, data.images, device)
    started = time.perf_counter()
    predict(model, data.images, device)
    return _Speed(training, (time.perf_counter() - started) / batch)


def _seconds_of_corrupting(study: Study) -> float:
    """Return the seconds that one process needs to corrupt one image under all conditions."""
    conditions, size = conditions_of(study), study.input_size
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (1, size, size, 3), np.uint8)
    split = Split(["frame"], ["sequence"], image, np.zeros((1, size, size), np.uint8), None)
    seconds = 0.0
    for _ in range(2):  # the first time, code is compiled
        started = time.perf_counter()
        with processes(0) as pool:
            for _batch in corrupted_batches(split, conditions, conditions.corruptions, pool, 0):
                pass
        seconds = time.perf_counter() - started
    return seconds
