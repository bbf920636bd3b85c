"""A small study from start to end: drawn scenes, training, checkpoint, prediction, scores, a corruption."""

from __future__ import annotations

import time
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.gpu_parts import problems
from benchmarks.gpu_parts.part import Figures, Part
from benchmarks.gpu_parts.setup import Setup
from corruptions import corrupt
from endoarss.checkpoints import load_checkpoint, save_checkpoint
from endoarss.data import LabelledImages
from endoarss.metrics import Evaluator
from endoarss.models import MultiTaskModel, build_model
from endoarss.prediction import predict
from endoarss.settings import ModelSettings
from endoarss.training import TrainingSettings, seed_everything, train
from pipeline.sources.synthetic.pretraining import ACTIVITIES, CLASSES, generate_scenes

_EPOCHS = 4
_CORRUPTION, _SEVERITY = "gaussian_noise", 3


def run(part: Part) -> None:
    """Run EndoARSS with TESLA and a fully trained ResNet, in bf16 on a GPU. They are not compiled; the part `training` measures that."""
    sizes = part.setup.sizes
    started = time.perf_counter()
    training, test = (labelled(count, sizes.side, seed) for seed, count in enumerate(sizes.scenes))
    part.add({"name": "scenes drawn", "scenes": sum(sizes.scenes), "seconds": time.perf_counter() - started})
    for backbone, architecture in (("endoarss", "tesla"), ("resnet", "hps")):
        part.measure(
            f"study, {backbone} {architecture}",
            partial(end_to_end, part.setup, backbone, architecture, training, test),
        )


def labelled(count: int, side: int, seed: int) -> LabelledImages:
    """Draw scenes with their labels."""
    return LabelledImages(*generate_scenes(count, side, seed))


def end_to_end(
    setup: Setup, backbone: str, architecture: str, training: LabelledImages, test: LabelledImages
) -> Figures:
    """Train a model, save and load it, and score it on clean and corrupted images. Return seconds and scores."""
    seconds = Stopwatch()
    backbone_settings = problems.backbone_settings(setup, backbone)
    settings = ModelSettings(backbone, architecture, CLASSES, ACTIVITIES, setup.sizes.side, backbone_settings)
    seed_everything(0)
    model = build_model(settings)
    try:
        train(
            model, training, TrainingSettings(_EPOCHS, 1e-4, setup.sizes.batch, "db_mtl", compile=False), setup.device
        )
    finally:
        torch.compiler.reset()
    seconds.of("train")
    checkpoint = setup.folder / f"{backbone}.safetensors"
    save_checkpoint(model, checkpoint, {})
    loaded = load_checkpoint(checkpoint, [setup.folder])
    loaded.precision = model.precision
    seconds.of("checkpoint")
    clean = scored(setup, loaded, test.images, test)
    seconds.of("predict and score")
    noisy = np.stack([corrupt(image, _CORRUPTION, _SEVERITY, seed=0) for image in test.images])
    seconds.of("corrupt")
    corrupted = scored(setup, loaded, noisy, test)
    return {**seconds.taken, "accuracy": clean["accuracy"], "mIoU": clean["miou"], "mIoU corrupted": corrupted["miou"]}


class Stopwatch:
    """Measures the seconds of consecutive steps.

    Attributes:
        taken: the seconds of each step.
    """

    def __init__(self) -> None:
        self.taken: dict[str, float] = {}
        self._since = time.perf_counter()

    def of(self, step: str) -> None:
        """End a step and record its seconds."""
        now = time.perf_counter()
        self.taken[f"{step}, s"], self._since = now - self._since, now


def scored(setup: Setup, model: MultiTaskModel, images: NDArray[np.uint8], truth: LabelledImages) -> dict[str, float]:
    """Return the scores of a model over all classes, by metric."""
    assert truth.activities is not None
    predictions = predict(model, images, setup.device)
    assert predictions.masks is not None and predictions.activity is not None
    evaluator = Evaluator(CLASSES, ACTIVITIES)
    for mask, predicted, activity, probabilities in zip(
        truth.masks, predictions.masks, truth.activities, predictions.activity, strict=True
    ):
        evaluator.add(mask=(mask, predicted), activity=(int(activity), probabilities))
    return {score["metric"]: score["value"] for score in evaluator.scores() if not score["class"]}
