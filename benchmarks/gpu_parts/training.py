"""EndoARSS with TESLA under DB-MTL: training and inference in each precision, at batch 16."""

from __future__ import annotations

import statistics
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from benchmarks.gpu_parts import problems
from benchmarks.gpu_parts.part import Figures, Part
from benchmarks.gpu_parts.problems import measure_both
from benchmarks.gpu_parts.roofline import Roofline
from benchmarks.gpu_parts.setup import Setup
from benchmarks.gpu_parts.table import LOOP, PAPER_TRAINING_GFLOP, WORK
from benchmarks.gpu_parts.timing import memory, window
from benchmarks.train_step import ACTIVITIES, CLASSES, Step, ours, void, weighting
from endoarss.data import LabelledImages
from endoarss.devices import reset_peak_memory
from endoarss.training import TrainingSettings, train


def run(part: Part) -> None:
    """Take all measurements, those with targets first."""
    setup = part.setup
    peaks = part.measure("matrix peak, TFLOP/s", lambda: matrix_peaks(setup)) or {}
    work = part.measure(WORK, lambda: work_per_image(setup)) or {}
    share = Roofline(peaks, work)
    build = partial(problems.build, setup, "endoarss", "tesla")
    measure_both(part, ", bf16, compiled", partial(build, "bf16"), "bf16", compiled=True, share=share)
    part.measure(LOOP, lambda: share.training("bf16", training_loop(setup)))
    for precision in ("float32", "bf16"):
        measure_both(part, f", {precision}", partial(build, precision), precision, compiled=False, share=share)


def matrix_peaks(setup: Setup) -> Figures:
    """Measure the product of two square matrices in each precision, in TFLOP/s."""
    side = setup.sizes.matrix
    peaks: Figures = {}
    for name, dtype, float32 in (
        ("bf16", torch.bfloat16, "highest"),
        ("tf32", torch.float32, "high"),
        ("float32", torch.float32, "highest"),
    ):
        a, b = (torch.randn(side, side, device=setup.device, dtype=dtype) for _ in range(2))
        torch.set_float32_matmul_precision(float32)
        try:
            step = product(a, b)
            window(step, 3, setup.device)
            seconds = statistics.median(window(step, 10, setup.device) for _ in range(3))
        finally:
            torch.set_float32_matmul_precision("highest")
        peaks[name] = 2 * side**3 / seconds / 1e12
    return peaks


def product(a: torch.Tensor, b: torch.Tensor) -> Step:
    """Return a step that multiplies two matrices."""
    result = torch.empty_like(a)
    return lambda: void(torch.mm(a, b, out=result))


def work_per_image(setup: Setup) -> Figures:
    """Count the operations per image in a training step and in inference, in GFLOP, while the model runs."""
    problem = problems.build(setup, "endoarss", "tesla", "float32", batch=2)
    step = ours(problem, weighting(problem, "db_mtl"))
    # The counter has formulas for matrix products and convolutions, but for fused attention only on some devices.
    with sdpa_kernel(SDPBackend.MATH), Operations() as in_training:
        step()
    problem.model.eval()
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), Operations() as in_inference:
        problem.model(problem.images)
    per_image = 1e9 * len(problem.images)
    return {
        "training_gflop": in_training.total / per_image,
        "inference_gflop": in_inference.total / per_image,
        "expected_training_gflop": PAPER_TRAINING_GFLOP,
    }


class Operations(TorchDispatchMode):
    """Counts floating-point operations with torch's own formulas.

    torch's `FlopCounterMode` also follows modules, which fails if gradients are computed with `torch.autograd.grad`.

    Attributes:
        total: the operations of all operators that have a formula.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator, and count its operations."""
        result = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=result)
        return result


def training_loop(setup: Setup) -> Figures:
    """Measure `endoarss.training.train` on images in memory. The first epoch, which compiles, is measured separately."""
    sizes = setup.sizes
    problem = problems.build(setup, "endoarss", "tesla", "bf16")
    data = random_images(sizes.images, sizes.side)
    settings = TrainingSettings(sizes.epochs, 1e-4, sizes.batch, "db_mtl", precision="bf16", compile=True)

    def after_first(row: dict[str, float]) -> None:
        if row["epoch"] == 1:
            reset_peak_memory(setup.device)

    try:
        history = train(problem.model, data, settings, setup.device, observe=after_first)
    finally:
        torch.compiler.reset()
    speeds = [row["images_per_second"] for row in history[1:]]
    seconds = statistics.median(row["seconds"] for row in history[1:])
    return {
        "images_per_second": statistics.median(speeds),
        "fastest": max(speeds),
        "slowest": min(speeds),
        **memory(setup.device),
        "compile_s": max(0.0, history[0]["seconds"] - seconds),
    }


def random_images(count: int, side: int) -> LabelledImages:
    """Return random images with labels of the benchmark's classes."""
    random = np.random.default_rng(0)
    return LabelledImages(
        random.integers(0, 256, (count, side, side, 3), np.uint8),
        random.integers(0, len(CLASSES), (count, side, side), np.uint8),
        random.integers(0, len(ACTIVITIES), count),
    )
