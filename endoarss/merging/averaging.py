"""Weight averaging: the mean of the models' weights."""

from __future__ import annotations

from collections.abc import Sequence

from endoarss.merging.base import Feedback, Merged, Merger
from endoarss.merging.task_vectors import TaskVector, combine
from endoarss.registry import register_merger


@register_merger("averaging")
class WeightAveraging(Merger):
    """Computes 1/T sum_t v_t, the mean of the T task vectors v_t (Wortsman et al. 2022, arXiv:2203.05482)."""

    def merge_checked(self, vectors: Sequence[TaskVector], feedback: Feedback) -> Merged:
        """Return the mean of the vectors; the feedback is not used."""
        return Merged(combine(vectors, [1 / len(vectors)] * len(vectors)))
