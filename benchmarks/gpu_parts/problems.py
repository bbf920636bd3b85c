"""Models with a batch at the benchmark's sizes, and the measurement of training and inference of a model."""

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
    """Return a backbone's settings. The random weights of a ViT come from a file, so that it is frozen and its adapters are trained."""
    if backbone == "resnet":
        return setup.sizes.resnet
    file = setup.folder / f"{setup.sizes.vit.model}.safetensors"
    if file.is_file():
        return replace(setup.sizes.vit, weights=WeightsSettings("file", str(file)))
    return with_random_weights(setup.sizes.vit, setup.sizes.side, setup.folder)


def build(setup: Setup, backbone: str, architecture: str, precision: str, batch: int = 0) -> Problem:
    """Build a model on the device, with a batch of the usual size unless another size is given."""
    settings, sizes = backbone_settings(setup, backbone), setup.sizes
    problem = make_problem(backbone, architecture, settings, sizes.side, batch or sizes.batch, setup.device)
    problem.model.precision = precision
    return problem


def measure_both(
    part: Part, name: str, make: Callable[[], Problem], precision: str, compiled: bool, share: Roofline
) -> Figures | None:
    """Measure training under DB-MTL and inference of one model.

    Args:
        part: the part that takes the measurements.
        name: the end of the names of both measurements.
        make: builds the model.
        precision: the precision of the model.
        compiled: whether the model is compiled first.
        share: adds the share of the card's peak to the figures.

    Returns:
        The figures of training, or None if it failed.
    """

    @cache  # both measurements use one model. It is built inside the first, so that a failure is reported like all others
    def problem() -> Problem:
        built = make()
        if compiled:
            compile_model(built.model, built.model.backbone.front)
        return built

    first_step_of: Callable[[Figures], Figures] = compile_in_parts if compiled else without_first
    figures = part.measure(
        f"training step{name}", lambda: share.training(precision, first_step_of(training(part.setup, problem())))
    )
    part.measure(
        f"inference{name}", lambda: share.inference(precision, first_step_of(inference(part.setup, problem())))
    )
    if compiled:
        torch.compiler.reset()
    return figures


def training(setup: Setup, problem: Problem) -> Figures:
    """Measure training steps under DB-MTL, including the optimizer."""
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
    """Return the figures without the first step, which only matters for a compiled model."""
    return {key: value for key, value in figures.items() if key != "first_step_s"}
