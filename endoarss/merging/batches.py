"""Which images a step sees."""

from __future__ import annotations

import torch
from torch import Tensor


class Batches:
    """Shuffled numbers of images, step by step, epoch after epoch; a step's are all different.

    Args:
        count: of images. size: of a step, at most all of them. seed: draws the order.
    """

    def __init__(self, count: int, size: int, seed: int) -> None:
        self.count, self.size, self.seed = count, min(size, count), seed
        self.steps = count // self.size  # a rest smaller than a step is left out of its epoch
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.int64)

    def __getitem__(self, step: int) -> Tensor:
        """int64 (size,), the same for the same step."""
        epoch, position = divmod(step, self.steps)
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            self._epoch, self._order = epoch, torch.randperm(self.count, generator=generator)
        return self._order[position * self.size : (position + 1) * self.size]
