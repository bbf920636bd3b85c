"""IMTL-G: impartial multi-task learning, the part that balances gradients (Liu et al., ICLR 2021)."""

from __future__ import annotations

from torch import Tensor, where

from endoarss.registry import register_weighting
from endoarss.weightings.base import GramWeighting
from endoarss.weightings.supports import inverse


@register_weighting("imtl_g")
class ImpartialGradients(GramWeighting):
    """The shared update is sum_t a_t g_t, with sum_t a_t = 1. Its projections onto all g_t / |g_t| are equal.

    a is G^-1 n, scaled to the sum 1, with the Gram matrix G and n_t = |g_t|. For two tasks this is a = (|g_2|, |g_1|) / (|g_1| + |g_2|),
    also if the gradients are parallel. a is 0 if all gradients are 0.
    """

    def weights(self, gram: Tensor) -> Tensor:
        """Return the weights a."""
        norms = gram.diagonal().sqrt()
        raw = norms.flip(0) if len(norms) == 2 else inverse(gram) @ norms
        total = raw.sum()
        return where(total.abs() > 0, raw / where(total.abs() > 0, total, 1), 0)
