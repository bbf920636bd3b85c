"""Lists the kinds of datasets with their labels and split rules. Each rule has a collector, which reads certain raw trees.

Collectors are only named here; a collector's module is imported when it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module

from pipeline.datasets.sample import Collected, CollectRequest
from pipeline.labels.activities import ENDOVIS_COUNTS, GEN_COUNTS
from pipeline.labels.classes import ENDOVIS, ESD, PARTS, LabelSet
from pipeline.labels.splits import BY_SEQUENCE, GIVEN, RANDOM_BY_ACTIVITY, TEST_2018
from pipeline.sources.contacts import CONTACTS, PLAIN, PLAIN_LABELS, PLAIN_MASKS


@dataclass(frozen=True)
class Recipe:
    """The collector of a dataset's frames (a module in pipeline/datasets) and the raw trees that it reads."""

    collector: str
    sources: tuple[str, ...]

    def collect(self, request: CollectRequest) -> Collected:
        """Collect the frames with the function `collect` of the collector's module."""
        collect: Callable[[CollectRequest], Collected] = import_module(f"pipeline.datasets.{self.collector}").collect
        return collect(request)


@dataclass(frozen=True)
class Kind:
    """A kind of dataset.

    Attributes:
        title: name in tables and figures.
        labels: classes and activities.
        recipes: recipe by split rule, the default rule first.
        frames: number of frames when every download is complete; None if unknown.
        activities: number of frames of each activity when every download is complete.
    """

    title: str
    labels: LabelSet
    recipes: Mapping[str, Recipe]
    frames: int | None = None
    activities: Mapping[str, int] | None = None


_CHALLENGE_2018 = Recipe("mtlendovis", ("endovis2018", "vqla2018"))

KINDS: Mapping[str, Kind] = {
    "mtlesd": Kind("MTLESD", ESD, {GIVEN: Recipe("released", ("esd",))}, 2020),
    "mtlendovis": Kind(
        "MTLEndovis",
        ENDOVIS,
        {
            RANDOM_BY_ACTIVITY: _CHALLENGE_2018,
            BY_SEQUENCE: _CHALLENGE_2018,
            GIVEN: Recipe("released", ("released_mtlendovis",)),
        },
        sum(ENDOVIS_COUNTS.values()),
        ENDOVIS_COUNTS,
    ),
    "mtlendovis_gen": Kind(
        "MTLEndovis-Gen",
        ENDOVIS,
        {GIVEN: Recipe("mtlendovis_gen", ("endovis2017", "vqla2017"))},
        sum(GEN_COUNTS.values()),
        GEN_COUNTS,
    ),
    "endovis2017_parts": Kind(
        "EndoVis 2017 parts", PARTS, {BY_SEQUENCE: Recipe("endovis2017_parts", ("endovis2017",))}
    ),
}

# The raw tree that each key of `plain` in a study names.
PLAIN_KEYS = {"root": PLAIN, "images": PLAIN, "masks": PLAIN_MASKS, "labels": PLAIN_LABELS}
PLAIN_RECIPES = {rule: Recipe(PLAIN, (PLAIN,)) for rule in (GIVEN, BY_SEQUENCE, RANDOM_BY_ACTIVITY)}

# Kinds that no cell trains on. The value is the kind whose cells are evaluated on the key.
GENERALISATION = {"mtlendovis_gen": "mtlendovis"}

WHERE_TO_ASK = CONTACTS

# Test sequences of the VQLA split of EndoVis 2018.
TEST_SEQUENCES = {"mtlendovis": tuple(f"seq_{number}" for number in TEST_2018)}
