"""Models with a batch, at the benchmark's sizes, and how training and inference of one are measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import torch

from benchmarks.gpu_parts.part import Figures, Part
from benchmarks.gpu_parts.roofline import Roofline
from benchmarks.gpu_parts.setup import Setup
from benchmarks.gpu_parts.timing import compile_in_parts, steady
from benchmarks.train_step import Problem, make_problem, ours, void, weighting, with_random_weights
from endoarss.devices import compile_model
from endoarss.settings import BackboneSettings, WeightsSettings


def backbone_settings(setup: Setup, backbone: str) -> BackboneSettings:
    """Return a backbone's settings. A ViT's random weights come from a file, so that it is frozen and adapters train."""
    if backbone == "resnet":
        return setup.sizes.resnet
    file = setup.folder / f"{setup.sizes.vit.model}.safetensors"
    if file.is_file():
        return replace(setup.sizes.vit, weights=WeightsSettings("file", str(file)))
    return with_random_weights(setup.sizes.vit, setup.sizes.side, setup.folder)


def build(setup: Setup, backbone: str, architecture: str, precision: str, batch: int = 0) -> Problem:
    """Build a model on the device, with a batch of the usual size unless another is given."""
    given, sizes = backbone_settings(setup, backbone), setup.sizes
    problem = make_problem(backbone, architecture, given, sizes.side, batch or sizes.batch, setup.device)
    problem.model.precision = precision
    return problem


def measure_both(
    part: Part, name: str, make: Callable[[], Problem], precision: str, compiled: bool, share: Roofline
) -> Figures | None:
    """Measure training under DB-MTL and inference of one model.

    Args:
        part: what it is measured for. name: what the names of both measurements end with. make: builds the model.
        precision: what it runs in. compiled: whether it is compiled first. share: adds the share of the card's peak.

    Returns:
        The figures of training, or None if it failed.
    """

    @cache  # one model for both; it is built inside of a measurement, so that what fails there is reported like all else
    def problem() -> Problem:
        made = make()
        if compiled:
            compile_model(made.model, made.model.backbone.front)
        return made

    apart: Callable[[Figures], Figures] = compile_in_parts if compiled else without_first
    found = part.measure(
        f"training step{name}", lambda: share.training(precision, apart(training(part.setup, problem())))
    )
    part.measure(f"inference{name}", lambda: share.inference(precision, apart(inference(part.setup, problem()))))
    if compiled:
        torch.compiler.reset()
    return found


def training(setup: Setup, problem: Problem) -> Figures:
    """Measure training steps under DB-MTL, the optimizer's included."""
    torch.backends.cudnn.benchmark = setup.device.type == "cuda"  # as in a training
    problem.model.train()
    return steady(ours(problem, weighting(problem, "db_mtl")), len(problem.images), setup)


def inference(setup: Setup, problem: Problem) -> Figures:
    """Measure forward passes in evaluation mode."""
    torch.backends.cudnn.benchmark = False  # as in `predict`
    problem.model.eval()
    problem.model.zero_grad(set_to_none=True)
    with torch.inference_mode():
        return steady(lambda: void(problem.model(problem.images)), len(problem.images), setup)


def without_first(figures: Figures) -> Figures:
    """Leave the first step out: where nothing is compiled it says nothing."""
    return {key: value for key, value in figures.items() if key != "first_step_s"}
