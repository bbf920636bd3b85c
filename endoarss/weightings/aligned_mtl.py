"""Aligned-MTL: independent component alignment (Senushkin et al., CVPR 2023, arXiv:2305.19000)."""

from __future__ import annotations

import torch
from torch import Tensor

from endoarss.registry import register_weighting
from endoarss.weightings.base import GradientWeighting


def alignment(gram: Tensor) -> Tensor:
    """The weights alpha = B 1 that make the gradients' principal components equally long.

    M = G G^T = V L V^T; eigenvalues l <= max * T * eps are dropped; B = sqrt(l_min) V L^-1/2 V^T.

    Args:
        gram: M (T, T), float32.

    Returns:
        (T,); zeros where all gradients are zero, NaN where the Gram matrix is not finite.
    """
    if not gram.isfinite().all():
        return torch.full_like(gram[0], float("nan"))
    values, vectors = torch.linalg.eigh(gram)
    kept = values > values.max() * len(gram) * torch.finfo(gram.dtype).eps
    if not kept.any():
        return torch.zeros_like(gram[0])
    values, vectors = values[kept], vectors[:, kept]
    return values.min().sqrt() * (vectors / values.sqrt()) @ vectors.sum(dim=0)


@register_weighting("aligned_mtl")
class AlignedMTL(GradientWeighting):
    """The shared update is sum_t alpha_t g_t, with alpha of `alignment`."""

    def combine(self, gradients: Tensor, losses: Tensor) -> tuple[Tensor, Tensor]:
        """The aligned gradients, summed."""
        # A matrix of T x T: on the CPU, for an accelerator's solver waits for the host all the same.
        weights = alignment((gradients @ gradients.T).cpu()).to(gradients)
        return weights @ gradients, weights
