"""PCGrad: projecting conflicting gradients (Yu et al., NeurIPS 2020, arXiv:2001.06782, algorithm 1)."""

from __future__ import annotations

import torch
from torch import Tensor

from endoarss.registry import register_weighting
from endoarss.weightings.base import DrawsAtRandom, GramWeighting


@register_weighting("pcgrad")
class ProjectConflicts(DrawsAtRandom, GramWeighting):
    """The shared update is the sum of projected gradients. Each is projected onto the normal planes of the gradients that conflict with it.

    Start with p_t = g_t. For each other task j, in random order: if p_t . g_j < 0 (a conflict),
    p_t <- p_t - (p_t . g_j) / |g_j|^2 g_j. The shared update is sum_t p_t. With two tasks the order is not random.
    """

    def weights(self, gram: Tensor) -> Tensor:
        """Return the coefficients of the raw gradients in the sum of the projected gradients."""
        squares = gram.diagonal()
        divisors = torch.where(squares > 0, squares, 1)
        rows = units = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
        for other in self.rounds(units):
            conflicts = (rows @ gram * other).sum(dim=1).clamp_max(0) / (other @ divisors)
            rows = rows - conflicts.unsqueeze(1) * other
        return rows.sum(dim=0)
