"""Measures the difference between two trainings with the same seed on the device."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from benchmarks.gpu_parts import problems
from benchmarks.gpu_parts.part import Figures, Part
from benchmarks.gpu_parts.setup import Setup
from benchmarks.gpu_parts.training import random_images
from endoarss.training import TrainingSettings, changing, train

_BATCHES, _EPOCHS = 6, 2


def run(part: Part) -> None:
    """Train twice in each configuration."""
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # cuBLAS reads it once, at the first matrix product
    configurations = (("float32", False, False), ("float32", False, True), ("bf16", False, True), ("bf16", True, True))
    for precision, compiled, deterministic in configurations:
        name = f"two runs, {precision}{', compiled' * compiled}{', deterministic' * deterministic}"
        part.measure(name, partial(two_runs, part.setup, precision, compiled, deterministic))


@dataclass(frozen=True)
class TrainedParameters:
    """The result of a training.

    Attributes:
        losses: the losses of each epoch and task.
        tensors: all tensors that the training changed, on the CPU.
    """

    losses: Tensor
    tensors: dict[str, Tensor]


def two_runs(setup: Setup, precision: str, compiled: bool, deterministic: bool) -> Figures:
    """Return the largest difference of losses, and of tensors relative to their largest value. 0 means identical bits."""
    first, second = (trained(setup, precision, compiled, deterministic) for _ in range(2))
    differing = [name for name in first.tensors if not torch.equal(first.tensors[name], second.tensors[name])]
    return {
        "largest loss difference": float((first.losses - second.losses).abs().max()),
        "largest relative difference": max(
            (relative(first.tensors[name], second.tensors[name]) for name in differing), default=0.0
        ),
        "tensors that differ": f"{len(differing)} of {len(first.tensors)}",
    }


def trained(setup: Setup, precision: str, compiled: bool, deterministic: bool) -> TrainedParameters:
    """Train EndoARSS with TESLA under DB-MTL, with a fixed seed."""
    model = problems.build(setup, "endoarss", "tesla", precision).model
    batch = setup.sizes.batch
    settings = TrainingSettings(
        _EPOCHS, 1e-3, batch, "db_mtl", precision=precision, compile=compiled, deterministic=deterministic
    )
    try:
        history = train(model, random_images(_BATCHES * batch, setup.sizes.side), settings, setup.device)
    finally:
        torch.compiler.reset()
    losses = [[row[f"loss_{task}"] for task in model.tasks] for row in history]
    return TrainedParameters(
        torch.tensor(losses), {name: tensor.cpu().double() for name, tensor in changing(model).items()}
    )


def relative(first: Tensor, second: Tensor) -> float:
    """Return the largest difference between two tensors, relative to the largest value of the first."""
    return float((first - second).abs().max() / first.abs().max().clamp_min(torch.finfo(first.dtype).tiny))
