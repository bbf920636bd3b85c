"""What test images go through in a robustness evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from corruptions import SEVERITIES, corruptions_of
from pipeline.study.models import Study

CLEAN = ""
"""Name of the condition without corruption."""


@dataclass(frozen=True)
class Conditions:
    """What images go through: the corruptions by name, their severities, the seed and the profile (see `corruptions`)."""

    corruptions: tuple[str, ...]
    severities: tuple[int, ...]
    seed: int = 0
    profile: str = "standard"

    def as_dict(self) -> dict[str, Any]:
        """Return them as JSON holds them."""
        return {**vars(self), "corruptions": list(self.corruptions), "severities": list(self.severities)}


def conditions_of(study: Study) -> Conditions:
    """Return the conditions of a study; without robustness, all corruptions under the standard profile."""
    given = study.robustness
    if given is None:
        return Conditions(tuple(corruptions_of("standard")), tuple(SEVERITIES))
    named = given.corruptions or tuple(corruptions_of(given.profile))
    return Conditions(named, given.severities, given.seed, given.profile)
