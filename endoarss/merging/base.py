"""What a merger is: it makes one task vector of several. It knows no models; what it may ask about a vector is given to it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tqdm import tqdm

from endoarss.merging.task_vectors import TaskVector, check_vectors, combine


@dataclass(frozen=True)
class Feedback:
    """What a merger may learn about a merged vector.

    score: of the merged model on validation data, higher is better.
    entropy: a scalar with a graph back to the vector: how undecided the merged model is about the unlabelled images of a step.
    """

    score: Callable[[TaskVector], float]
    entropy: Callable[[TaskVector, int], Any]


@dataclass(frozen=True)
class Merged:
    """vector: what is added to the base. about: what the merger chose or learned, as JSON-like data."""

    vector: TaskVector
    about: dict[str, Any] = field(default_factory=dict)


class Merger(ABC):
    """A way to merge. `adapts` says whether it looks at unlabelled images."""

    adapts = False

    def merge(self, vectors: Sequence[TaskVector], feedback: Feedback) -> Merged:
        """One vector of the vectors of T >= 1 models.

        Raises:
            SettingsError: if there is none, or two are not of the same model, naming both.
        """
        check_vectors(vectors)
        return self.merge_checked(vectors, feedback)

    @abstractmethod
    def merge_checked(self, vectors: Sequence[TaskVector], feedback: Feedback) -> Merged:
        """The same of vectors that fit together."""


def choose_coefficient(vector: TaskVector, coefficients: Sequence[float], feedback: Feedback) -> Merged:
    """The multiple of a vector that scores best on validation data, the first of equals; of a single coefficient no score is asked."""
    if len(coefficients) == 1:
        return Merged(combine([vector], [coefficients[0]]), {"coefficient": coefficients[0]})
    tried = tqdm(coefficients, desc="coefficients", unit="coefficient", mininterval=1.0, leave=False)
    scores = {c: feedback.score(combine([vector], [c])) for c in tried}
    best = max(scores, key=lambda c: scores[c])
    return Merged(
        combine([vector], [best]),
        {"coefficient": best, "validation": [{"coefficient": c, "score": score} for c, score in scores.items()]},
    )
