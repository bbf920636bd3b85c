"""TIES merging: trim the vectors, elect a sign for each value, and average the values that have this sign."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from endoarss.components.description import check_settings_of
from endoarss.merging.base import Feedback, Merged, Merger, choose_coefficient
from endoarss.merging.task_vectors import TaskVector
from endoarss.registry import register_merger


@register_merger("ties")
class Ties(Merger):
    """TIES (Yadav et al. 2023, arXiv:2306.01708, algorithm 1), over all values of a model together.

    - Trim: in each task vector the values with the largest magnitudes are kept (the share `keep` of all values); the others become 0.
    - Elect: each position of the vectors gets the sign of its sum over the tasks, or if the sum is 0, the sign of most other positions.
    - Merge: the result is, at each position, the mean of the values with the elected sign; zeros are left out.

    Args:
        keep: the share of values that are kept.
        coefficients: the candidates for the factor of the result; the score on the validation split decides.
    """

    BOUNDS: ClassVar = {"keep": "(0, 1]", "coefficients": "(0, 100]"}

    def __init__(
        self, keep: float = 0.2, coefficients: Sequence[float] = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    ) -> None:
        check_settings_of(Ties, "ties", {"keep": keep, "coefficients": coefficients})
        self.keep = keep
        self.coefficients = tuple(map(float, coefficients))

    def merge_checked(self, vectors: Sequence[TaskVector], feedback: Feedback) -> Merged:
        """Return the merged vector, multiplied by the coefficient that scores best."""
        names = list(vectors[0])
        flat = torch.stack([torch.cat([vector[name].flatten() for name in names]) for vector in vectors])
        merged = ties(flat, self.keep).split([vectors[0][name].numel() for name in names])
        shaped = {name: values.view_as(vectors[0][name]) for name, values in zip(names, merged, strict=True)}
        return choose_coefficient(shaped, self.coefficients, feedback)


def ties(vectors: Tensor, keep: float) -> Tensor:
    """Merge flat task vectors by trimming, electing signs and averaging.

    Args:
        vectors: the task vectors of T models, with P values each, (T, P).
        keep: the share of values that are kept.

    Returns:
        The merged vector (P,), which is not multiplied by a coefficient.
    """
    trimmed = torch.stack([trim(vector, keep) for vector in vectors])
    sign = trimmed.sum(0).sign()
    majority = sign.sum().sign()
    sign = torch.where(sign == 0, majority if majority else 1.0, sign)
    agrees = trimmed * sign > 0
    return (trimmed * agrees).sum(0) / agrees.sum(0).clamp(min=1)


def trim(vector: Tensor, keep: float) -> Tensor:
    """Set all values to 0 except those with the largest magnitude.

    Args:
        vector: a task vector (P,).
        keep: the share of values to keep. At least one value is kept. Values with the same magnitude as the smallest kept one are kept too.

    Returns:
        The trimmed vector (P,).
    """
    count = max(1, round(keep * vector.numel()))
    least = vector.abs().kthvalue(vector.numel() - count + 1).values
    return torch.where(vector.abs() >= least, vector, 0)
