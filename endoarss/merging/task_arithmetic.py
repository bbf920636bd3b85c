"""Task arithmetic: the sum of the task vectors, times one coefficient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from endoarss.components.description import check_settings_of
from endoarss.merging.base import Feedback, Merged, Merger, choose_coefficient
from endoarss.merging.task_vectors import TaskVector, combine
from endoarss.registry import register_merger


@register_merger("task_arithmetic")
class TaskArithmetic(Merger):
    """Computes c sum_t v_t, the sum of the task vectors v_t times a coefficient c (Ilharco et al. 2023, arXiv:2212.04089, equation 2).

    Args:
        coefficients: the candidates for c; the score on the validation split decides.
    """

    BOUNDS: ClassVar = {"coefficients": "(0, 100]"}

    def __init__(self, coefficients: Sequence[float] = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)) -> None:
        check_settings_of(TaskArithmetic, "task_arithmetic", {"coefficients": coefficients})
        self.coefficients = tuple(map(float, coefficients))

    def merge_checked(self, vectors: Sequence[TaskVector], feedback: Feedback) -> Merged:
        """Return the sum, multiplied by the coefficient that scores best."""
        return choose_coefficient(combine(vectors, [1.0] * len(vectors)), self.coefficients, feedback)
