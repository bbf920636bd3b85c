"""The kinds of dataset there are: the labels of each, the raw trees it asks for, and how its frames are collected.

Knows names only; a builder's module is imported when it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from pipeline.datasets.labels import ENDOVIS, ESD, PARTS, LabelSet
from pipeline.datasets.sample import Collected
from pipeline.sources import endovis2017, endovis2018, esd, vqla


@dataclass(frozen=True)
class Kind:
    """A kind of dataset. sources: the raw trees its `collect` takes, in order. splits: the split rules it allows."""

    title: str
    labels: LabelSet
    sources: tuple[str, ...]
    splits: tuple[str, ...]

    def collect(self, name: str) -> Callable[..., Collected]:
        """The collecting function of the module with the kind's name."""
        return import_module(f"pipeline.datasets.{name}").collect


KINDS: Mapping[str, Kind] = {
    "mtlesd": Kind("MTLESD", ESD, ("esd",), ("released",)),
    "mtlendovis": Kind("MTLEndovis", ENDOVIS, ("endovis2018", "vqla2018"), ("published", "by_sequence")),
    "mtlendovis_gen": Kind("MTLEndovis-Gen", ENDOVIS, ("endovis2017", "vqla2017"), ("released",)),
    "endovis2017_parts": Kind("EndoVis 2017 parts", PARTS, ("endovis2017",), ("by_sequence",)),
}

# A dataset that no cell trains on, and the one whose cells are evaluated on it.
GENERALISATION = {"mtlendovis_gen": "mtlendovis"}

# The module below pipeline/sources that reads each raw tree.
READERS = {
    "esd": "esd",
    "endovis2018": "endovis2018",
    "vqla2018": "vqla",
    "endovis2017": "endovis2017",
    "vqla2017": "vqla",
}

WHERE_TO_ASK = {
    "esd": esd.WHERE_TO_ASK,
    "endovis2018": endovis2018.WHERE_TO_ASK,
    "vqla2018": vqla.WHERE_TO_ASK,
    "endovis2017": endovis2017.WHERE_TO_ASK,
    "vqla2017": vqla.WHERE_TO_ASK,
}

# Test sequences of the VQLA split of EndoVis 2018.
TEST_SEQUENCES = {"mtlendovis": ("seq_1", "seq_5", "seq_16")}


def source_roots(kind: str, raw: Mapping[str, Path]) -> list[Path]:
    """The raw trees a kind asks for, in the order of its `collect`."""
    return [raw[source] for source in KINDS[kind].sources]
