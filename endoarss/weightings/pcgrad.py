"""PCGrad: projecting conflicting gradients (Yu et al., NeurIPS 2020, arXiv:2001.06782, algorithm 1)."""

from __future__ import annotations

import torch
from torch import Tensor

from endoarss.registry import register_weighting
from endoarss.weightings.base import DrawsAtRandom, GramWeighting


@register_weighting("pcgrad")
class ProjectConflicts(DrawsAtRandom, GramWeighting):
    """The sum of the gradients, each projected onto the normal plane of every other one that it conflicts with, in random order.

    For each j: if p_t . g_j < 0, p_t <- p_t - (p_t . g_j) / |g_j|^2 g_j, from p_t = g_t; the shared update is sum_t p_t. With two tasks
    there is nothing to draw.
    """

    def weights(self, gram: Tensor) -> Tensor:
        """The coefficients of the projected gradients in the raw ones, summed."""
        squares = gram.diagonal()
        divisors = torch.where(squares > 0, squares, 1)
        rows = units = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
        for met in self.rounds(units):
            conflicts = (rows @ gram * met).sum(dim=1).clamp_max(0) / (met @ divisors)
            rows = rows - conflicts.unsqueeze(1) * met
        return rows.sum(dim=0)
