"""TIES merging: trim, elect signs, and average what agrees."""

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
    """Yadav et al. 2023, arXiv:2306.01708, algorithm 1, over all values of a model together.

    Trim: of each task vector the share `keep` of largest magnitude stays, the rest is 0. Elect: each value's sign is that of the sum over
    tasks; where they cancel, the sign that most values have. Merge: the mean of the values with that sign, zeros not counted.

    Args:
        keep: share of values that stay. coefficients: what multiplies the result is chosen from these on validation data.
    """

    BOUNDS: ClassVar = {"keep": "(0, 1]", "coefficients": "(0, 100]"}

    def __init__(
        self, keep: float = 0.2, coefficients: Sequence[float] = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    ) -> None:
        check_settings_of(Ties, "ties", {"keep": keep, "coefficients": coefficients})
        self.keep = keep
        self.coefficients = tuple(map(float, coefficients))

    def merge_checked(self, vectors: Sequence[TaskVector], feedback: Feedback) -> Merged:
        """The merged values, with the coefficient that scores best."""
        names = list(vectors[0])
        flat = torch.stack([torch.cat([vector[name].flatten() for name in names]) for vector in vectors])
        merged = ties(flat, self.keep).split([vectors[0][name].numel() for name in names])
        shaped = {name: part.view_as(vectors[0][name]) for name, part in zip(names, merged, strict=True)}
        return choose_coefficient(shaped, self.coefficients, feedback)


def ties(vectors: Tensor, keep: float) -> Tensor:
    """The formula: (T, P) -> (P,)."""
    trimmed = torch.stack([trim(vector, keep) for vector in vectors])
    sign = trimmed.sum(0).sign()
    majority = sign.sum().sign()
    sign = torch.where(sign == 0, majority if majority else 1.0, sign)
    agrees = trimmed * sign > 0
    return (trimmed * agrees).sum(0) / agrees.sum(0).clamp(min=1)


def trim(vector: Tensor, keep: float) -> Tensor:
    """The values (P,) whose magnitude is among the round(keep P) largest, at least one; others are 0. Equals of the last one stay."""
    count = max(1, round(keep * vector.numel()))
    least = vector.abs().kthvalue(vector.numel() - count + 1).values
    return torch.where(vector.abs() >= least, vector, 0)
