"""IMTL: impartial multi-task learning, which balances losses and gradients together (Liu et al., ICLR 2021)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from endoarss.registry import register_weighting
from endoarss.weightings.imtl_g import ImpartialGradients


@register_weighting("imtl")
class ImpartialLearning(ImpartialGradients):
    """IMTL-G applied to the scaled losses exp(s_t) l_t. The logarithmic scales s_t are trained to minimise exp(s_t) l_t - s_t (IMTL-L).

    The tasks' own parameters get the gradient of the scaled loss. The scales start at 0 and are trained with the model's optimizer and
    learning rate, without weight decay.
    """

    def __init__(self, tasks: Sequence[str], epochs: int) -> None:
        super().__init__(tasks, epochs)
        self.log_scales = nn.Parameter(torch.zeros(len(self.tasks)))

    def parameters(self) -> tuple[nn.Parameter, ...]:
        """Return the logarithmic scales."""
        return (self.log_scales,)

    def combine(self, gradients: Tensor, losses: Tensor) -> tuple[Tensor, Tensor]:
        """Return the IMTL-G sum of the gradients of the scaled losses, and the weights of the raw gradients in this sum.

        The inner products are scaled instead of the gradients, so that the gradients (T, P) are not copied.
        """
        scales = self.log_scales.detach().exp()
        self.log_scales.grad = (scales * losses - 1).to(scales)
        gram = torch.nan_to_num(gradients @ gradients.T, 0.0, 0.0, 0.0).double()
        of_scaled = self.weights(gram * scales.double().outer(scales.double()))
        weights = (of_scaled * scales).to(gradients)
        return weights @ gradients, weights

    def owned_scales(self, losses: Tensor) -> Tensor:
        """Return exp(s_t), the derivative of the scaled loss with respect to the loss."""
        return self.log_scales.detach().exp().to(losses)
