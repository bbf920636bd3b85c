"""EndoARSS with TESLA under DB-MTL in bf16 with growing batches. The best batch is also measured compiled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial

import torch

from benchmarks.gpu_parts import problems
from benchmarks.gpu_parts.part import Part
from benchmarks.gpu_parts.problems import measure_both
from benchmarks.gpu_parts.roofline import Roofline
from benchmarks.train_step import Problem

# A larger batch is better if it raises the images per second by this factor.
_LEAST_GAIN = 1.05


def run(part: Part) -> None:
    """Double the batch until training gains little or memory runs out, then compile with the best batch."""
    setup, share = part.setup, Roofline({}, {})
    best = best_batch(part, share)
    make = partial(problems.build, setup, "endoarss", "tesla", "bf16", best)
    if best > setup.sizes.batch:
        measure_both(part, f", bf16, compiled, batch {best}", make, "bf16", compiled=True, share=share)


def best_batch(part: Part, share: Roofline) -> int:
    """Double the batch in bf16 until training gains little or memory runs out, and return the best. Measure inference with each batch."""
    sizes = part.setup.sizes
    best, speed, batch = sizes.batch, 0.0, sizes.batch
    base = cache(partial(problems.build, part.setup, "endoarss", "tesla", "bf16"))
    while batch <= sizes.largest_batch:
        name = f", bf16, batch {batch}"
        figures = measure_both(part, name, partial(enlarged, base, batch), "bf16", compiled=False, share=share)
        if figures is None or figures["images_per_second"] < _LEAST_GAIN * speed:
            break
        best, speed, batch = batch, figures["images_per_second"], 2 * batch
    return best


def enlarged(base: Callable[[], Problem], batch: int) -> Problem:
    """Return the same model with a larger batch of the same images."""
    problem = base()
    indices = torch.arange(batch, device=problem.images.device) % len(problem.images)
    return replace(
        problem, images=problem.images[indices], masks=problem.masks[indices], activities=problem.activities[indices]
    )
