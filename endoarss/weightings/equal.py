"""Equal weighting: the sum of the losses."""

from __future__ import annotations

import torch
from torch import Tensor

from endoarss.registry import register_weighting
from endoarss.weightings.base import LossWeighting


@register_weighting("equal")
class EqualWeighting(LossWeighting):
    """The loss is sum_t l_t. This is the baseline, and the only useful weighting for a single task."""

    def combine(self, losses: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sum of the losses, and weights of 1."""
        return losses.sum(), torch.ones_like(losses)
