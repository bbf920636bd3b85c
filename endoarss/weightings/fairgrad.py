"""FairGrad: fair resource allocation in multi-task learning (Ban and Ji, ICML 2024, arXiv:2402.15638, equation 4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from endoarss.components.description import check_settings_of
from endoarss.registry import register_weighting
from endoarss.weightings.base import GramWeighting

_STEPS = 12  # steps of Newton's method for two tasks; the result is then exact to 1e-12
_STEPS_FOR_ANY_NUMBER = 100
_SHORTEST = 1e-12  # lower bound of a squared norm relative to the largest one, so that the weights are finite
_OPPOSITE = 1 - 1e-9  # there is no fair direction for gradients that are more opposite than this
_RIDGE = 1e-12  # added to the diagonal for several tasks, for the same reason


@register_weighting("fairgrad")
class FairGradient(GramWeighting):
    """The shared update is sum_t w_t g_t, with the w > 0 that solves G w = w^(-1 / alpha) entry by entry. G is the Gram matrix of the g_t.

    Args:
        alpha: the kind of fairness. 1 is proportional fairness, as in Nash-MTL; a higher value favours the task that improves least.
    """

    BOUNDS: ClassVar = {"alpha": "[0.1, 100]"}

    def __init__(self, tasks: Sequence[str], epochs: int, alpha: float = 1.0) -> None:
        super().__init__(tasks, epochs)
        check_settings_of(FairGradient, "fairgrad", {"alpha": alpha})
        self.alpha = alpha

    def weights(self, gram: Tensor) -> Tensor:
        """Return the weights w; they are 0 if all gradients are 0."""
        squares = gram.diagonal()
        largest = squares.max()
        lengths = squares.clamp_min(_SHORTEST * largest).clamp_min(torch.finfo(torch.float32).tiny).sqrt()
        cosines = gram / lengths.outer(lengths)
        solve = _for_two_tasks if len(gram) == 2 else _for_any_number
        return torch.where(largest > 0, solve(cosines, lengths, self.alpha), 0)


def _for_two_tasks(cosines: Tensor, lengths: Tensor, alpha: float) -> Tensor:
    """Return the weights of two tasks.

    Let w_t = y_t / |g_t|, s = y_2 / y_1, and c be the cosine. The ratio of the two equations is
    log((c + s) / (1 + c s)) + log(s) / alpha + L = 0, with L = (1 - 1 / alpha) log(|g_2| / |g_1|).
    Let m(z) = log((exp(z) + |c|) / (1 + |c| exp(z))), and log(s) = z, or log(s) = m(z) if c < 0. Then one of the two logarithms is z and
    the other one is m(z). m is odd and bends towards 0 on both sides, so Newton's method does not overshoot if it starts at 0.
    """
    cosine = cosines[0, 1].clamp(-_OPPOSITE, 1)
    r, opposed = cosine.abs(), cosine < 0
    of_z, of_m = torch.where(opposed, 1, 1 / alpha), torch.where(opposed, 1 / alpha, 1)
    shift = (1 - 1 / alpha) * (lengths[1] / lengths[0]).log()
    z, zero = torch.zeros_like(r), torch.zeros_like(r)
    for _ in range(_STEPS):
        m = torch.logaddexp(z, r.log()) - torch.logaddexp(zero, r.log() + z)
        slope = (1 - r * r) / (1 + r * r + 2 * r * z.cosh())
        z = z - (of_z * z + of_m * m + shift) / (of_z + of_m * slope)
    m = torch.logaddexp(z, r.log()) - torch.logaddexp(zero, r.log() + z)
    s = torch.where(opposed, m, z).exp()
    # Compute 1 + c s and 1 + c / s without cancellation if c < 0.
    first = torch.where(opposed, (1 - r * r) / (1 + r * z.exp()), 1 + r * s)
    second = torch.where(opposed, (1 - r * r) / (1 + r * (-z).exp()), 1 + r / s)
    return (lengths.square() * torch.stack([first, second])) ** (-alpha / (1 + alpha))


def _for_any_number(cosines: Tensor, lengths: Tensor, alpha: float) -> Tensor:
    """Return the weights y_t / |g_t| of any number of tasks.

    Newton's method solves C y = k y^(-1 / alpha) with y > 0, the cosines C and k_t = |g_t|^(1 / alpha - 1).
    """
    cosines = cosines + _RIDGE * torch.eye(len(cosines), dtype=cosines.dtype, device=cosines.device)
    factors = lengths ** (1 / alpha - 1)
    y = factors ** (alpha / (1 + alpha))  # the solution for orthogonal gradients
    for _ in range(_STEPS_FOR_ANY_NUMBER):
        targets = factors * y ** (-1 / alpha)
        step = torch.linalg.solve(cosines + (targets / y / alpha).diag(), targets - cosines @ y)
        # Go at most nine tenths of the way to the point where the first weight becomes 0.
        y = y + step * (0.9 / (-step / y).max().clamp_min(0.9))
    return y / lengths
