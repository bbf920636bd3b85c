"""MGDA: multiple-gradient descent (Desideri 2012; for multi-task learning Sener and Koltun, NeurIPS 2018, arXiv:1810.04650)."""

from __future__ import annotations

import torch
from torch import Tensor

from endoarss.registry import register_weighting
from endoarss.weightings.base import GramWeighting
from endoarss.weightings.supports import best_of, inverse, spread, subsets


@register_weighting("mgda")
class MultipleGradientDescent(GramWeighting):
    """The shared update is the vector with the smallest norm in the convex hull of the gradients: sum_t a_t g_t, a_t >= 0, sum_t a_t = 1.

    For two tasks a_1 = (|g_2|^2 - g_1 . g_2) / |g_1 - g_2|^2, clamped to [0, 1]. The gradients are not normalised.
    """

    def weights(self, gram: Tensor) -> Tensor:
        """Return the weights a."""
        if len(gram) != 2:
            return _for_any_number(gram)
        distance = gram[0, 0] + gram[1, 1] - 2 * gram[0, 1]
        first = ((gram[1, 1] - gram[0, 1]) / torch.where(distance > 0, distance, 1)).clamp(0, 1)
        first = torch.where(distance > 0, first, 0.5)
        return torch.stack([first, 1 - first])


def _for_any_number(gram: Tensor) -> Tensor:
    """Return the weights of any number of tasks.

    On each face of the simplex, solve G a + m 1 = 0 and 1 a = 1, with the Gram matrix G and a multiplier m.
    """
    tasks = len(gram)
    largest = gram.diagonal().max()
    gram = gram / torch.where(largest > 0, largest, 1)

    def on(face: list[int]) -> Tensor:
        bordered = gram.new_ones(len(face) + 1, len(face) + 1)
        bordered[:-1, :-1], bordered[-1, -1] = gram[face][:, face], 0
        raw = inverse(bordered)[:-1, -1]
        return spread(raw / raw.sum(), face, tasks)

    faces = (face for face in subsets(range(tasks)) if face)
    return best_of(map(on, faces), lambda candidates: ((candidates @ gram) * candidates).sum(dim=1))
