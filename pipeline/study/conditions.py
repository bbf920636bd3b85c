"""Return the conditions of a robustness evaluation, and the corruptions of a training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from corruptions import SEVERITIES, corruptions_of, moves_pixels, selected_corruptions
from corruptions.errors import CorruptionError
from corruptions.field_of_view import CORRUPT
from corruptions.registry import STANDARD
from pipeline.errors import InputError
from pipeline.study.models import Study

CLEAN = ""
"""The name of the condition without corruption."""
_DEFAULT_PROBABILITY = 0.5  # probability that an image is corrupted in training


@dataclass(frozen=True)
class Conditions:
    """The conditions of a robustness evaluation.

    Attributes:
        corruptions: names of the corruptions.
        severities: severities from 1 to 5; each corruption is applied at each of them.
        seed: seed of random draws.
        profile: parameters of the corruptions: "standard" or "authors_code".
        field_of_view: "corrupt" or "keep" the black border of a round view, as in `corruptions.corrupt`.
    """

    corruptions: tuple[str, ...]
    severities: tuple[int, ...]
    seed: int = 0
    profile: str = "standard"
    field_of_view: str = CORRUPT

    def as_dict(self) -> dict[str, Any]:
        """Return the conditions as JSON data. The default field of view is left out, because records of earlier versions lack it."""
        augmentation = {**vars(self), "corruptions": list(self.corruptions), "severities": list(self.severities)}
        return {key: value for key, value in augmentation.items() if (key, value) != ("field_of_view", CORRUPT)}

    def moves_masks(self, corruption: str) -> bool:
        """Return whether a corruption moves the masks, as it moves the pixels. Under the profile `authors_code` no mask moves."""
        return corruption != CLEAN and self.profile == "standard" and moves_pixels(corruption)


@dataclass(frozen=True)
class TrainingCorruptions:
    """The corruptions of training images: each image gets, with `probability`, one of `names` at one of `severities`."""

    names: tuple[str, ...]
    severities: tuple[int, ...]
    probability: float


def conditions_of(study: Study) -> Conditions:
    """Return the conditions of a study; without the key robustness, the standard corruptions under the standard profile.

    Raises:
        InputError: if the study names an unknown corruption.
    """
    settings = study.robustness
    if settings is None:
        return Conditions(_corruption_names("robustness", STANDARD), tuple(SEVERITIES))
    names = _corruption_names("robustness", settings.corruptions)
    if settings.profile == "authors_code":  # a category then stands for those of its corruptions that the profile has
        known = corruptions_of(settings.profile)
        names = tuple(name for name in names if name in settings.corruptions or name in known)
    return Conditions(names, settings.severities, settings.seed, settings.profile, settings.field_of_view)


def training_corruptions(study: Study) -> TrainingCorruptions | None:
    """Return the corruptions of training images, or None if the study does not corrupt them.

    Raises:
        InputError: if the study names an unknown corruption.
    """
    augmentation = study.training.augmentation
    if augmentation.corruptions is None:
        return None
    names = _corruption_names("training.augmentation", augmentation.corruptions)
    probability = _DEFAULT_PROBABILITY if augmentation.probability is None else augmentation.probability
    return TrainingCorruptions(names, augmentation.severities or tuple(SEVERITIES), probability)


def _corruption_names(key: str, selection: str | tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of corruptions, with categories replaced by the corruptions in them."""
    try:
        return selected_corruptions([selection] if isinstance(selection, str) else selection)
    except CorruptionError as error:
        raise InputError(f"{key}.corruptions: {error}") from None
