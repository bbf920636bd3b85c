"""Equal weighting: the sum of the losses."""

from __future__ import annotations

import torch
from torch import Tensor

from endoarss.registry import register_weighting
from endoarss.weightings.base import LossWeighting


@register_weighting("equal")
class EqualWeighting(LossWeighting):
    """sum_t l_t. The baseline, and the only sensible choice for a single task."""

    def combine(self, losses: Tensor) -> tuple[Tensor, Tensor]:
        """The sum."""
        return losses.sum(), torch.ones_like(losses)
