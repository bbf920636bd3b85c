"""The state of weightings of one's own is saved without code for it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from endoarss.weightings.base import DrawsAtRandom, LossWeighting


class Running(LossWeighting):
    """Divides losses by their running means: a tensor that does not exist at first, a counter, and a setting."""

    def __init__(self, tasks: Any, epochs: int) -> None:
        super().__init__(tasks, epochs)
        self.mean: Tensor | None = None
        self.steps: int | None = None
        self.momentum = 0.8

    def combine(self, losses: Tensor) -> tuple[Tensor, Tensor]:
        now = losses.detach()
        self.mean = now if self.mean is None else self.momentum * self.mean + (1 - self.momentum) * now
        self.steps = (self.steps or 0) + 1
        weights = self.steps / self.mean
        return (weights * losses).sum(), weights


class Drawing(DrawsAtRandom, Running):
    """Has a generator as well."""


def test_attributes_are_resumed() -> None:
    batches = torch.rand(4, 2, generator=torch.Generator().manual_seed(0)) + 0.5
    for kind in (Running, Drawing):
        whole, first, second = (kind(("a", "b"), 3) for _ in range(3))
        for weighting in (whole, first, second):
            weighting.seed(1)
        expected = [whole.combine(losses)[1] for losses in batches]
        for losses in batches[:2]:
            first.combine(losses)
        second.load_state_dict({key: value.clone() for key, value in first.state_dict().items()})
        assert second.steps == 2 and isinstance(second.steps, int) and isinstance(second.momentum, float)
        for losses, weights in zip(batches[2:], expected[2:], strict=True):
            torch.testing.assert_close(second.combine(losses)[1], weights, rtol=0, atol=0)
