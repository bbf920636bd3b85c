"""Equal weighting: the sum of the losses."""

from __future__ import annotations

import torch
from torch import Tensor

from endoarss.registry import register_weighting
from endoarss.weightings.base import SharesParameters, Weighting


@register_weighting("equal")
class EqualWeighting(Weighting):
    """sum_t l_t. The baseline, and the only sensible choice for a single task."""

    def backward(self, losses: dict[str, Tensor], model: SharesParameters) -> dict[str, float]:
        """One backward pass of the sum."""
        torch.stack(list(losses.values())).sum().backward()
        return dict.fromkeys(losses, 1.0)
