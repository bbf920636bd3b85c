"""GLS: geometric loss strategy (Chennupati et al., CVPR workshops 2019, MultiNet++, arXiv:1904.08492)."""

from __future__ import annotations

from torch import Tensor

from endoarss.registry import register_weighting
from endoarss.weightings.base import LossWeighting

_LOWEST = 1e-8  # smallest loss; a loss of 0 has no logarithm and would stop the training of the other tasks


@register_weighting("gls")
class GeometricLossStrategy(LossWeighting):
    """The loss is the geometric mean of the T losses, (prod_t l_t)^(1 / T). The weight of task t is this mean divided by T l_t."""

    def combine(self, losses: Tensor) -> tuple[Tensor, Tensor]:
        """Return the geometric mean of the losses, and the weights in its gradient."""
        losses = losses.clamp_min(_LOWEST)
        mean = losses.log().mean().exp()
        return mean, mean.detach() / (len(self.tasks) * losses.detach())
