"""Task arithmetic: the sum of the task vectors, times one coefficient."""

from __future__ import annotations

from collections.abc import Sequence

from endoarss.merging.base import Feedback, Merged, Merger, check_coefficients, choose_coefficient
from endoarss.merging.task_vectors import TaskVector, combine
from endoarss.registry import register_merger


@register_merger("task_arithmetic")
class TaskArithmetic(Merger):
    """c sum_t v_t. Ilharco et al. 2023, arXiv:2212.04089, equation 2.

    Args:
        coefficients: those that c is chosen from, by the score on validation data.
    """

    def __init__(self, coefficients: Sequence[float] = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)) -> None:
        self.coefficients = check_coefficients("task_arithmetic", coefficients)

    def merge_checked(self, vectors: Sequence[TaskVector], feedback: Feedback) -> Merged:
        """The sum, with the coefficient that scores best."""
        return choose_coefficient(combine(vectors, [1.0] * len(vectors)), self.coefficients, feedback)
