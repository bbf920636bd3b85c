"""UPGrad: unconflicting projection of gradients (Quinton and Rey 2024, Jacobian descent, arXiv:2406.16232)."""

from __future__ import annotations

import torch
from torch import Tensor

from endoarss.registry import register_weighting
from endoarss.weightings.base import GramWeighting
from endoarss.weightings.supports import best_of, inverse, spread, subsets


@register_weighting("upgrad")
class UnconflictingProjection(GramWeighting):
    """The shared update is the mean of the projected gradients. Each is projected onto the cone of vectors that conflict with no gradient.

    The projection of g_t is sum_j v_j g_j with the v that minimises v^T G v where v_t >= 1 and v_j >= 0 (proposition 1); G is the Gram
    matrix. For two tasks it is g_t - min(g_1 . g_2, 0) / |g_j|^2 g_j, so the update is half of PCGrad's. torchjd adds 1e-4 to the diagonal
    of the normalised G for its solver.
    """

    def weights(self, gram: Tensor) -> Tensor:
        """Return the coefficients of the raw gradients in the mean of the projected gradients."""
        if len(gram) != 2:
            return torch.stack([_projection(gram, task) for task in range(len(gram))]).mean(dim=0)
        squares = gram.diagonal()
        return (1 - gram[0, 1].clamp_max(0) / torch.where(squares > 0, squares, 1)) / 2


def _projection(gram: Tensor, task: int) -> Tensor:
    """Return the coefficients v (T,) of one gradient's projection. For each set of other tasks, the candidate has (G v)_j = 0 in it."""
    tasks = len(gram)

    def coefficients(subset: list[int]) -> Tensor:
        own = spread(gram.new_ones(1), [task], tasks)
        if not subset:
            return own
        return own - spread(inverse(gram[subset][:, subset]) @ gram[subset, task], subset, tasks)

    others = [index for index in range(tasks) if index != task]
    return best_of(map(coefficients, subsets(others)), lambda candidates: ((candidates @ gram) * candidates).sum(dim=1))
