"""Estimate the cost of a study: disk space of each dataset, and hours of each cell, timed on this machine."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from endoarss.backbones.timm_model import bare_timm_model
from endoarss.checkpoints import save_checkpoint
from endoarss.data import LabelledImages
from endoarss.devices import choose_device
from endoarss.models import build_model
from endoarss.prediction import predict
from endoarss.registry import WEIGHTINGS
from endoarss.saving import save_tensors
from endoarss.training import seed_everything, train
from pipeline.datasets.card import read_card
from pipeline.labels.splits import TEST, TRAIN
from pipeline.study.cell import Cell
from pipeline.study.cells import schedule_of, trainings_of
from pipeline.study.conditions import conditions_of
from pipeline.study.datasets import kind_name, kind_of, labels_of
from pipeline.study.folders import dataset_folder
from pipeline.study.models import Study, WeightsFile
from pipeline.study.robust_models import robust_models
from pipeline.training.model_settings import model_settings, training_settings

# A built frame with its mask: five real EndoVis 2017 frames, cropped to 1280x1024 pixels, take 1.29 to 1.40 MB.
_BYTES_PER_PIXEL = 1.07
_PIXELS_PER_FRAME = 1280 * 1024
_TIMED_STEPS = 3  # training steps whose median counts
_CPU_BATCH = 2  # images per batch; on a CPU the time per image hardly depends on this number


@dataclass(frozen=True)
class Cost:
    """Estimated cost of a cell: hours of training and of the robustness evaluation, and bytes of its checkpoint."""

    cell: Cell
    training_hours: float
    robustness_hours: float
    checkpoint_bytes: int


@dataclass(frozen=True)
class _Speed:
    """Seconds per image in training and in prediction, and bytes of the checkpoint."""

    training: float
    prediction: float
    checkpoint_bytes: int


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


def cost_of_cells(study: Study) -> Iterator[Cost]:
    """Yield the cost of each training.

    Each combination of backbone, architecture and weighting runs a few steps on this machine, with random weights and images. The hours
    are the seconds per image times the number of frames and the number of epochs or conditions.
    """
    speeds: dict[tuple[str, str, str], _Speed] = {}
    robust = set(robust_models(study))
    conditions = conditions_of(study)
    conditions_per_image = len(conditions.corruptions) * len(conditions.severities)
    for cell in trainings_of(study):
        key = cell.backbone, cell.architecture, cell.weighting
        if key not in speeds:
            speeds[key] = _time_model(study, cell)
        frames, epochs = frames_of(study, cell.dataset), schedule_of(study, cell).epochs
        trained_images = frames.get(TRAIN, 0) * epochs
        predicted_images = frames.get(TEST, 0) * conditions_per_image * (cell in robust)
        speed = speeds[key]
        training_hours = trained_images * speed.training / 3600
        robustness_hours = predicted_images * speed.prediction / 3600
        yield Cost(cell, training_hours, robustness_hours, speed.checkpoint_bytes)


def _with_random_weights(study: Study, cell: Cell, folder: Path) -> Study:
    """Return the study with a file of random weights instead of pretrained ones, so that nothing is downloaded for a timing."""
    backbone = study.backbones[cell.backbone]
    if backbone.weights == "none":
        return study
    path = folder / "random.safetensors"
    size = backbone.network_size or study.input_size
    arguments: dict[str, Any] = {"img_size": size} if "vit" in backbone.model else {}
    plain = bare_timm_model(backbone.model.split(".")[0], backbone.arguments, **arguments)
    save_tensors({name: tensor.contiguous() for name, tensor in plain.state_dict().items()}, path)
    changed = backbone.model_copy(update={"weights": WeightsFile(file=str(path))})
    return study.model_copy(update={"backbones": {**study.backbones, cell.backbone: changed}})


def _time_model(study: Study, cell: Cell) -> _Speed:
    device, size = choose_device(), study.input_size
    labels = labels_of(study, cell.dataset)
    seed_everything(0)
    with tempfile.TemporaryDirectory() as folder:
        model = build_model(model_settings(_with_random_weights(study, cell, Path(folder)), cell))
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
    schedule = replace(
        real_schedule, epochs=1 + _TIMED_STEPS, learning_rate=1e-6, batch_size=batch, weighting_settings=settings
    )
    history = train(model, data, schedule, device, f"time {cell.backbone} {cell.architecture} {cell.weighting}")
    model.precision = "float32"  # the precision of robustness evaluations
    predict(model, data.images, device)
    started = time.perf_counter()
    predict(model, data.images, device)
    prediction = (time.perf_counter() - started) / batch
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        save_checkpoint(model, path, {})
        checkpoint_bytes = path.stat().st_size
    training = statistics.median(row["seconds"] for row in history[1:]) / batch
    return _Speed(training, prediction, checkpoint_bytes)
