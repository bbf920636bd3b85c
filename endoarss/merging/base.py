"""The base class of mergers. A merger gets task vectors and functions that evaluate a merged vector; it does not use the models."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tqdm import tqdm

from endoarss.merging.task_vectors import TaskVector, check_vectors, combine


@dataclass(frozen=True)
class Feedback:
    """The functions with which a merger can evaluate a merged vector.

    Attributes:
        score: returns, for a merged vector, the score of the merged model on the validation split; higher is better.
        entropy: returns, for a merged vector and the number of a step, the entropy of the merged model's predictions on the unlabelled
            images of this step: a scalar that can be differentiated with respect to the vector.
    """

    score: Callable[[TaskVector], float]
    entropy: Callable[[TaskVector, int], Any]


@dataclass(frozen=True)
class Merged:
    """The result of a merger.

    Attributes:
        vector: the task vector to add to the base weights.
        coefficients: the coefficients that the merger selected or learned, and how they scored, as JSON-like data.
    """

    vector: TaskVector
    coefficients: dict[str, Any] = field(default_factory=dict)


class Merger(ABC):
    """A method that combines several task vectors into one.

    Attributes:
        adapts: whether the merger uses unlabelled images.
    """

    adapts = False

    def merge(self, vectors: Sequence[TaskVector], feedback: Feedback) -> Merged:
        """Check task vectors and merge them.

        Args:
            vectors: the task vectors of T >= 1 models.
            feedback: functions that evaluate a merged vector.

        Returns:
            The merged vector and its coefficients.

        Raises:
            SettingsError: if there are no vectors, or the tensors of two vectors differ in name or shape; the message names both vectors.
        """
        check_vectors(vectors)
        return self.merge_checked(vectors, feedback)

    @abstractmethod
    def merge_checked(self, vectors: Sequence[TaskVector], feedback: Feedback) -> Merged:
        """Merge task vectors that belong to the same model; see `merge` for the arguments."""


def choose_coefficient(vector: TaskVector, coefficients: Sequence[float], feedback: Feedback) -> Merged:
    """Multiply a vector by the coefficient that scores best on the validation split. Of equal scores, the first one wins.

    Args:
        vector: a merged vector.
        coefficients: the candidates. If there is only one, no score is computed.
        feedback: its function `score` is used.

    Returns:
        The scaled vector, the selected coefficient and, if there are several candidates, the score of each candidate.
    """
    if len(coefficients) == 1:
        return Merged(combine([vector], [coefficients[0]]), {"coefficient": coefficients[0]})
    tried = tqdm(coefficients, desc="coefficients", unit="coefficient", mininterval=1.0, leave=False)
    scores = {c: feedback.score(combine([vector], [c])) for c in tried}
    best = max(scores, key=lambda c: scores[c])
    return Merged(
        combine([vector], [best]),
        {"coefficient": best, "validation": [{"coefficient": c, "score": score} for c, score in scores.items()]},
    )
