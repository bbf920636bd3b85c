"""IMTL-G: impartial multi-task learning, its balance of gradients (Liu et al., ICLR 2021)."""

from __future__ import annotations

from torch import Tensor, where

from endoarss.registry import register_weighting
from endoarss.weightings.base import GramWeighting
from endoarss.weightings.supports import inverse


@register_weighting("imtl_g")
class ImpartialGradients(GramWeighting):
    """sum_t a_t g_t, with sum_t a_t = 1, whose projections onto all g_t / |g_t| are equally long.

    a is G^-1 n scaled to the sum 1, with n_t = |g_t|. Of two tasks that is a = (|g_2|, |g_1|) / (|g_1| + |g_2|), also for gradients that
    are parallel. It is 0 where all gradients are.
    """

    def weights(self, gram: Tensor) -> Tensor:
        """The weights a."""
        norms = gram.diagonal().sqrt()
        raw = norms.flip(0) if len(norms) == 2 else inverse(gram) @ norms
        total = raw.sum()
        return where(total.abs() > 0, raw / where(total.abs() > 0, total, 1), 0)
