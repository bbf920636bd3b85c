"""CAGrad: conflict-averse gradient descent (Liu et al., NeurIPS 2021, arXiv:2110.14048, algorithm 1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from endoarss.components.description import check_settings_of
from endoarss.registry import register_weighting
from endoarss.weightings.base import GramWeighting
from endoarss.weightings.supports import best_of, inverse, spread, subsets


@register_weighting("cagrad")
class ConflictAverse(GramWeighting):
    """The shared update is g_0 + c |g_0| g_w / |g_w|, with the mean g_0 of the tasks' gradients g_t, and g_w = sum_t w_t g_t.

    w is the point of the simplex that minimises g_w . g_0 + c |g_0| |g_w|. Of all vectors within a distance of c |g_0| from g_0, the update
    is the one along which the slowest task improves most. LibMTL also divides it by 1 + c^2, which makes no difference with Adam.

    Args:
        c: the distance of the update from the mean gradient, relative to the norm of the mean gradient.
    """

    BOUNDS: ClassVar = {"c": "[0, 1)"}

    def __init__(self, tasks: Sequence[str], epochs: int, c: float = 0.5) -> None:
        super().__init__(tasks, epochs)
        check_settings_of(ConflictAverse, "cagrad", {"c": c})
        self.c = c

    def weights(self, gram: Tensor) -> Tensor:
        """Return the weights 1 / T + c |g_0| w / |g_w|."""
        radius = self.c * gram.mean().clamp_min(0).sqrt()
        direction = _for_two_tasks(gram, radius) if len(gram) == 2 else _for_any_number(gram, radius)
        length = ((direction @ gram) @ direction).clamp_min(0).sqrt()
        return 1 / len(gram) + radius * direction / torch.where(length > 0, length, 1)


def _for_two_tasks(gram: Tensor, radius: Tensor) -> Tensor:
    """Return w = (x, 1 - x) for two tasks.

    Let d = g_1 - g_2 and A = g_0 . d. On the line x g_1 + (1 - x) g_2, let x* be the point that is nearest to 0, and h its distance from 0.
    Up to a constant, the function to minimise is A x + radius sqrt(|d|^2 (x - x*)^2 + h^2). Its minimum is at
    x* - A h / (|d| sqrt(radius^2 |d|^2 - A^2)), or at an end of the interval if that root is not real.
    """
    a, b, c = gram[0, 0], gram[0, 1], gram[1, 1]
    squared = a + c - 2 * b
    divisor = torch.where(squared > 0, squared, 1)
    slope, height = (a - c) / 2, ((a * c - b * b) / divisor).clamp_min(0).sqrt()
    under = radius * radius * squared - slope * slope
    inside = (c - b) / divisor - slope * height / (divisor * torch.where(under > 0, under, 1)).sqrt()
    first = torch.where(under > 0, inside.clamp(0, 1), torch.where(slope > 0, 0.0, 1.0).to(gram))
    return torch.stack([first, 1 - first])


def _for_any_number(gram: Tensor, radius: Tensor) -> Tensor:
    """Return w for any number of tasks.

    On a face of the simplex, with the Gram matrix G and p = G 1 / T, the condition is p + radius G w / |g_w| = m 1. So w is proportional to
    m G^-1 1 - G^-1 p, with the multiplier m for which |g_w| has the right value.
    """
    tasks, products = len(gram), gram.mean(dim=0)

    def on(face: list[int]) -> Tensor:
        inverted, p = inverse(gram[face][:, face]), products[face]
        ones, q = inverted.sum(dim=1), inverted @ p
        root = (q.sum() ** 2 - ones.sum() * (p @ q - radius * radius)).sqrt()  # NaN: no solution on this face
        raw = ones * (q.sum() + root) / ones.sum() - q
        return spread(raw / raw.sum(), face, tasks)

    def value(candidates: Tensor) -> Tensor:
        return candidates @ products + radius * ((candidates @ gram) * candidates).sum(dim=1).clamp_min(0).sqrt()

    faces = (face for face in subsets(range(tasks)) if face)
    ends = torch.eye(tasks, dtype=gram.dtype, device=gram.device)
    return best_of([*ends, *map(on, faces)], value)
