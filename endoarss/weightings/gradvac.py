"""GradVac: gradient vaccine (Wang et al., ICLR 2021, arXiv:2010.05874)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from endoarss.components.description import check_settings_of
from endoarss.registry import register_weighting
from endoarss.weightings.base import DrawsAtRandom, GramWeighting

_EPSILON = 1e-8


@register_weighting("gradvac")
class GradientVaccine(DrawsAtRandom, GramWeighting):
    """The shared update is the sum of the gradients. If the cosine of two gradients is below its running average, they are first rotated.

    Start with p_t = g_t. For each other task j, in random order, let c be the cosine of p_t and g_j, and u_tj its running average, which
    starts at 0. If c < u_tj, p_t <- p_t + |p_t| (u_tj sqrt(1 - c^2) - c sqrt(1 - u_tj^2)) / (|g_j| sqrt(1 - u_tj^2)) g_j, which makes the
    cosine u_tj. Then u_tj <- (1 - beta) u_tj + beta c. A cosine is computed over all shared parameters together. With two tasks the order
    is not random.

    Args:
        beta: the rate at which the average cosine u is updated; 0.5 is the default of LibMTL and torchjd.
    """

    BOUNDS: ClassVar = {"beta": "[0, 1]"}

    def __init__(self, tasks: Sequence[str], epochs: int, beta: float = 0.5) -> None:
        super().__init__(tasks, epochs)
        check_settings_of(GradientVaccine, "gradvac", {"beta": beta})
        self.beta = beta
        self.average_cosines = torch.zeros(len(self.tasks), len(self.tasks), dtype=torch.float64)

    def weights(self, gram: Tensor) -> Tensor:
        """Return the coefficients of the raw gradients in the sum of the rotated gradients."""
        norms, averages = gram.diagonal().sqrt(), self.average_cosines.to(gram.device)
        rows = units = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
        for other in self.rounds(units):
            products, other_lengths = rows @ gram, other @ norms
            lengths = (products * rows).sum(dim=1).clamp_min(0).sqrt()
            cosines = (products * other).sum(dim=1) / (lengths * other_lengths + _EPSILON)
            targets = (averages * other).sum(dim=1)
            sines, of_targets = (1 - torch.stack([cosines, targets]).square()).clamp_min(0).sqrt()
            turns = lengths * (targets * sines - cosines * of_targets) / (other_lengths * of_targets + _EPSILON)
            rows = rows + torch.where(cosines < targets, turns, 0).unsqueeze(1) * other
            averages = averages + (self.beta * (cosines - targets)).unsqueeze(1) * other
        self.average_cosines = averages
        return rows.sum(dim=0)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the average cosines and the state of the generator."""
        return {**super().state_dict(), "usual": self.average_cosines}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore the average cosines and the state of the generator."""
        super().load_state_dict(state)
        self.average_cosines = state["usual"].clone()
