"""MoCo: multi-objective gradient correction (Fernando et al., ICLR 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from endoarss.components.description import check_settings_of
from endoarss.registry import register_weighting
from endoarss.weightings.base import GradientWeighting

_EPSILON = 1e-8


@register_weighting("moco")
class GradientCorrection(GradientWeighting):
    """Tracks a moving average y_t of each task's gradient. Its weights lambda move towards the smallest vector in the hull of the averages.

    In step k, y_t <- y_t - beta / k^beta_sigma (y_t - l_t g_t / (|g_t| + 1e-8)), starting from y_t = 0, and
    lambda <- P(lambda - gamma / k^gamma_sigma (Y Y^T + rho I) lambda), starting from 1 / T. Y has the rows y_t. The shared update is
    Y^T lambda. By default P is the projection onto the simplex, as in the paper; only with the projection does lambda reach the vector with
    the smallest norm. LibMTL, and therefore the authors' code, uses a softmax instead, which makes the weights more equal in each step.

    Args:
        beta: step size of the tracking.
        beta_sigma: the exponent with which beta decays.
        gamma: step size of lambda.
        gamma_sigma: the exponent with which gamma decays.
        rho: regularisation of lambda.
        simplex: the function P, "projection" or "softmax".
    """

    BOUNDS: ClassVar = {
        "beta": "(0, 1]",
        "beta_sigma": "[0, 10]",
        "gamma": "(0, 1000000]",
        "gamma_sigma": "[0, 10]",
        "rho": "[0, 1000000]",
        "simplex": ("projection", "softmax"),
    }

    def __init__(
        self,
        tasks: Sequence[str],
        epochs: int,
        beta: float = 0.5,
        beta_sigma: float = 0.5,
        gamma: float = 0.1,
        gamma_sigma: float = 0.5,
        rho: float = 0.0,
        simplex: str = "projection",
    ) -> None:
        super().__init__(tasks, epochs)
        numbers = {"beta": beta, "beta_sigma": beta_sigma, "gamma": gamma, "gamma_sigma": gamma_sigma, "rho": rho}
        check_settings_of(GradientCorrection, "moco", {**numbers, "simplex": simplex})
        self.beta, self.beta_sigma = beta, beta_sigma
        self.gamma, self.gamma_sigma = gamma, gamma_sigma
        self.rho = rho
        self.simplex = simplex
        self.step = 0
        self.tracked: Tensor | None = None
        self.weights: Tensor | None = None

    def combine(self, gradients: Tensor, losses: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weighted sum of the tracked gradients, and the weights."""
        self.step += 1
        scales = losses.to(gradients) / (gradients.norm(dim=1) + _EPSILON)
        if self.tracked is None or self.weights is None:
            self.tracked = torch.zeros_like(gradients)
            self.weights = gradients.new_full((len(gradients),), 1 / len(gradients))
        self.tracked = self.tracked.lerp(scales.unsqueeze(1) * gradients, self.beta / self.step**self.beta_sigma)
        gram = self.tracked @ self.tracked.T
        slope = gram @ self.weights + self.rho * self.weights
        moved = self.weights - self.gamma / self.step**self.gamma_sigma * slope
        self.weights = moved.softmax(dim=0) if self.simplex == "softmax" else project_onto_simplex(moved)
        return self.weights @ self.tracked, self.weights

    def state_dict(self) -> dict[str, Tensor]:
        """Return the step count, the tracked gradients and lambda."""
        state = {"step": torch.tensor(self.step)}
        if self.tracked is not None and self.weights is not None:
            state |= {"tracked": self.tracked, "weights": self.weights}
        return state

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore the step count, the tracked gradients and lambda."""
        self.step = int(state["step"])
        if "tracked" in state:
            self.tracked, self.weights = state["tracked"].clone(), state["weights"].clone()


def project_onto_simplex(values: Tensor) -> Tensor:
    """Return the nearest point in Euclidean distance whose entries are at least 0 and sum to 1 (Duchi et al. 2008, ICML).

    This does not wait for the device.

    Args:
        values: (T,), of any floating-point dtype.

    Returns:
        (T,): the values minus a threshold, clamped at 0.
    """
    ordered = values.sort(descending=True).values
    excess = ordered.cumsum(dim=0) - 1
    counts = torch.arange(1, len(values) + 1, dtype=values.dtype, device=values.device)
    # The threshold for which the n largest values stay above 0 is excess_n / n. The largest of these thresholds is the right one.
    return (values - (excess / counts).max()).clamp_min(0)
