"""DB-MTL: dual-balancing multi-task learning (Lin et al. 2023, arXiv:2308.12029)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from endoarss.components.description import check_settings_of
from endoarss.registry import register_weighting
from endoarss.weightings.base import GradientWeighting

_EPSILON = 1e-8


@register_weighting("db_mtl")
class DualBalancing(GradientWeighting):
    """Balances the scales of the losses by their logarithms, and the magnitudes of the gradients by their norms.

    For the loss l_t of task t, g_t = grad log(l_t + 1e-8). In step k, the momentum b_t, which starts at 0, becomes g_t + beta /
    k^beta_sigma (b_t - g_t). The shared update is sum_t max_j |b_j| / (|b_t| + 1e-8) b_t. The tasks' own parameters get the gradient of the
    log loss.

    Args:
        beta: the factor of the momentum.
        beta_sigma: the exponent with which this factor decays.
    """

    BOUNDS: ClassVar = {"beta": "[0, 1)", "beta_sigma": "[0, 10]"}

    def __init__(self, tasks: Sequence[str], epochs: int, beta: float = 0.9, beta_sigma: float = 0.0) -> None:
        super().__init__(tasks, epochs)
        check_settings_of(DualBalancing, "db_mtl", {"beta": beta, "beta_sigma": beta_sigma})
        self.beta = beta
        self.beta_sigma = beta_sigma
        self.step = 0
        self.buffer: Tensor | None = None

    def combine(self, gradients: Tensor, losses: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sum of the momenta, each scaled to the largest of their norms, and the scales."""
        of_logs = gradients / (losses.to(gradients) + _EPSILON).unsqueeze(1)
        self.step += 1
        if self.buffer is None:
            self.buffer = torch.zeros_like(of_logs)
        self.buffer = of_logs.lerp(self.buffer, self.beta / self.step**self.beta_sigma)
        norms = self.buffer.norm(dim=1)
        weights = norms.max() / (norms + _EPSILON)
        return weights @ self.buffer, weights

    def owned_scales(self, losses: Tensor) -> Tensor:
        """Return 1 / (l_t + 1e-8), the derivative of the logarithm."""
        return 1 / (losses + _EPSILON)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the step count and the momenta."""
        state = {"step": torch.tensor(self.step)}
        return state if self.buffer is None else {**state, "buffer": self.buffer}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore the step count and the momenta."""
        self.step = int(state["step"])
        self.buffer = state["buffer"].clone() if "buffer" in state else None
