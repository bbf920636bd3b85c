"""GLS: geometric loss strategy (Chennupati et al., CVPR workshops 2019, MultiNet++, arXiv:1904.08492)."""

from __future__ import annotations

import torch
from torch import Tensor

from endoarss.registry import register_weighting
from endoarss.weightings.base import LossWeighting


@register_weighting("gls")
class GeometricLossStrategy(LossWeighting):
    """The geometric mean of the T losses, (prod_t l_t)^(1 / T). A task's weight in its gradient is that mean over T l_t."""

    def combine(self, losses: Tensor) -> tuple[Tensor, Tensor]:
        """The geometric mean."""
        losses = losses.clamp_min(torch.finfo(losses.dtype).tiny)  # a loss of 0 has no logarithm
        mean = losses.log().mean().exp()
        return mean, mean.detach() / (len(self.tasks) * losses.detach())
