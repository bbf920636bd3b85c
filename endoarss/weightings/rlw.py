"""RLW: random loss weighting (Lin et al., TMLR 2022, arXiv:2111.10603)."""

from __future__ import annotations

import torch
from torch import Tensor

from endoarss.registry import register_weighting
from endoarss.weightings.base import DrawsAtRandom, LossWeighting


@register_weighting("rlw")
class RandomLossWeighting(DrawsAtRandom, LossWeighting):
    """The loss is sum_t w_t l_t, where w is the softmax of T normally distributed numbers that are drawn again in each step."""

    def combine(self, losses: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weighted sum of the losses, and the weights."""
        drawn = torch.randn(len(self.tasks), generator=self.generator, dtype=torch.float64).softmax(dim=0).tolist()
        of_task = dict(zip(self.by_name, drawn, strict=True))
        weights = torch.stack([losses.new_full((), of_task[index]) for index in range(len(self.tasks))])
        return weights @ losses, weights
