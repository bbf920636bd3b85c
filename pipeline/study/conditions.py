"""The conditions of a robustness evaluation, and the corruptions of a training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from corruptions import SEVERITIES, corruptions_of, selected_corruptions
from corruptions.errors import CorruptionError
from corruptions.field_of_view import CORRUPT
from corruptions.registry import STANDARD
from pipeline.errors import InputError
from pipeline.study.models import Study

CLEAN = ""
"""The name of the condition without corruption."""
_PROBABILITY = 0.5


@dataclass(frozen=True)
class Conditions:
    """The conditions of a robustness evaluation.

    Attributes:
        corruptions: names of the corruptions.
        severities: their severities.
        seed: seed of random draws.
        profile: "standard" or "authors_code".
        field_of_view: whether the black border of a round view is corrupted or kept, see `corruptions.corrupt`.
    """

    corruptions: tuple[str, ...]
    severities: tuple[int, ...]
    seed: int = 0
    profile: str = "standard"
    field_of_view: str = CORRUPT

    def as_dict(self) -> dict[str, Any]:
        """Return the conditions as JSON data. The default field of view is left out, so that earlier results stay current."""
        given = {**vars(self), "corruptions": list(self.corruptions), "severities": list(self.severities)}
        return {key: value for key, value in given.items() if (key, value) != ("field_of_view", CORRUPT)}


@dataclass(frozen=True)
class TrainingCorruptions:
    """The corruptions of training images: with a probability, one of the names at one of the severities."""

    names: tuple[str, ...]
    severities: tuple[int, ...]
    probability: float


def conditions_of(study: Study) -> Conditions:
    """Return the conditions of a study; without robustness, the standard corruptions under the standard profile.

    Raises:
        InputError: if it names a corruption that nobody knows.
    """
    given = study.robustness
    if given is None:
        return Conditions(_chosen("robustness", STANDARD), tuple(SEVERITIES))
    named = _chosen("robustness", given.corruptions)
    if given.profile == "authors_code":  # a category means the corruptions in it that the profile has
        named = tuple(one for one in named if one in given.corruptions or one in corruptions_of(given.profile))
    return Conditions(named, given.severities, given.seed, given.profile, given.field_of_view)


def training_corruptions(study: Study) -> TrainingCorruptions | None:
    """Return the corruptions of training images, or None if they are not corrupted.

    Raises:
        InputError: if it names a corruption that nobody knows.
    """
    given = study.training.augmentation
    if given.corruptions is None:
        return None
    names = _chosen("training.augmentation", given.corruptions)
    probability = _PROBABILITY if given.probability is None else given.probability
    return TrainingCorruptions(names, given.severities or tuple(SEVERITIES), probability)


def _chosen(key: str, given: str | tuple[str, ...]) -> tuple[str, ...]:
    try:
        return selected_corruptions([given] if isinstance(given, str) else given)
    except CorruptionError as error:
        raise InputError(f"{key}.corruptions: {error}") from None
