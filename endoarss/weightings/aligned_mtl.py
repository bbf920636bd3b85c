"""Aligned-MTL: independent component alignment (Senushkin et al., CVPR 2023, arXiv:2305.19000)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from endoarss.registry import register_weighting
from endoarss.weightings.base import GradientWeighting


def alignment(gram: Tensor) -> Tensor:
    """Return the weights alpha = B 1 with which all principal components of the gradients have the same norm.

    The Gram matrix M = G G^T of the gradients G (T, P) has the eigenvectors V and the eigenvalues L. Eigenvalues l <= max(l) T eps are
    dropped; the smallest one that is left is l_min. B = sqrt(l_min) V L^-1/2 V^T. In float32 this drops a gradient whose norm is about 2000
    times smaller than the largest norm. With two tasks the function does not wait for the device.

    Args:
        gram: M, float32 (T, T).

    Returns:
        (T,); zeros if all gradients are zero, NaN if the Gram matrix is not finite.
    """
    negligible = len(gram) * torch.finfo(gram.dtype).eps
    finite = gram.isfinite().all()
    finite_gram = torch.where(finite, gram, torch.zeros_like(gram)).double()
    weights = _for_two_tasks(finite_gram, negligible) if len(gram) == 2 else _for_any_number(finite_gram, negligible)
    return torch.where(finite, weights, math.nan).to(gram.dtype)


def _for_two_tasks(gram: Tensor, negligible: float) -> Tensor:
    """Return the weights of two tasks, in closed form.

    If M = [[a, b], [b, c]] has the eigenvalues l1 >= l2, then sqrt(M) = (M + s I) / t with s = sqrt(l1 l2) and t = sqrt(l1) + sqrt(l2), so
    alpha = (c + s - b, a + s - b) / (sqrt(l1) t). If M has rank one, the norm of its only component does not change:
    alpha = (M - l2 I) 1 / (l1 - l2).
    """
    a, b, c = gram[0, 0], gram[0, 1], gram[1, 1]
    largest = (a + c) / 2 + torch.hypot((a - c) / 2, b)
    nonzero = largest > 0
    divisor = torch.where(nonzero, largest, 1)
    smallest = ((a * c - b * b) / divisor).clamp_min(0)
    s, t = (largest * smallest).sqrt(), largest.sqrt() + smallest.sqrt()
    rank_two = torch.stack([c + s - b, a + s - b]) / torch.where(nonzero, largest.sqrt() * t, 1)
    difference = torch.where(largest > smallest, largest - smallest, 1)
    rank_one = torch.stack([a + b - smallest, b + c - smallest]) / difference
    return torch.where(nonzero, torch.where(smallest > negligible * largest, rank_two, rank_one), 0)


def _for_any_number(gram: Tensor, negligible: float) -> Tensor:
    """Return the weights of any number of tasks, computed from the eigenvectors."""
    values, vectors = torch.linalg.eigh(gram)
    used = values > values.max() * negligible
    lengths = torch.where(used, values, 1).sqrt()
    smallest = torch.where(used, values, math.inf).min().sqrt()
    weights = (vectors * torch.where(used, smallest / lengths, 0)) @ vectors.sum(dim=0)
    return torch.where(used.any(), weights, 0)


@register_weighting("aligned_mtl")
class AlignedMTL(GradientWeighting):
    """The shared update is sum_t alpha_t g_t; `alignment` computes alpha."""

    def combine(self, gradients: Tensor, losses: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sum of the aligned gradients, and the weights."""
        weights = alignment(gradients @ gradients.T)
        return weights @ gradients, weights
