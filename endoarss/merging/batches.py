"""Select the images of each step of AdaMerging and of Surgery."""

from __future__ import annotations

import torch
from torch import Tensor


class Batches:
    """The indices of the images of each step. The images are shuffled once per epoch, and no step contains an image twice.

    Args:
        count: the number of images.
        size: the number of images in a step; it is limited to `count`.
        seed: the seed of the order.
    """

    def __init__(self, count: int, size: int, seed: int) -> None:
        self.count, self.size, self.seed = count, min(size, count), seed
        self.steps = count // self.size  # the last images of an epoch are left out if they do not fill a step
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.int64)

    def __getitem__(self, step: int) -> Tensor:
        """Return the indices of a step, int64 (size,). A step always has the same indices."""
        epoch, position = divmod(step, self.steps)
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            self._epoch, self._order = epoch, torch.randperm(self.count, generator=generator)
        return self._order[position * self.size : (position + 1) * self.size]
