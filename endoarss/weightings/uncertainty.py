"""Uncertainty weighting: homoscedastic uncertainty (Kendall et al., CVPR 2018, arXiv:1705.07115)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from endoarss.registry import register_weighting
from endoarss.weightings.base import LossWeighting


@register_weighting("uncertainty")
class UncertaintyWeighting(LossWeighting):
    """The loss is sum_t (exp(-s_t) l_t + s_t) / 2, with log variances s_t that start at 0 and are trained with the model.

    For a cross-entropy some authors write exp(-s) l + s / 2. This is the same loss of s + log 2, up to a constant, and starts with the
    weight 1 instead of 1 / 2. LibMTL starts at s = -0.5. The log variances are trained with the model's optimizer and learning rate,
    without weight decay.
    """

    def __init__(self, tasks: Sequence[str], epochs: int) -> None:
        super().__init__(tasks, epochs)
        self.log_variances = nn.Parameter(torch.zeros(len(self.tasks)))

    def parameters(self) -> tuple[nn.Parameter, ...]:
        """Return the log variances."""
        return (self.log_variances,)

    def combine(self, losses: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss with its regularisation, and the weights exp(-s_t) / 2."""
        weights = (-self.log_variances).exp() / 2
        return (weights * losses + self.log_variances / 2).sum(), weights.to(losses)
