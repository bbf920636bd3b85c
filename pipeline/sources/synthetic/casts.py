"""Draws the cast of a generated frame, that is, its instruments and their actions, with the frequencies of the real annotations.

casts.csv holds the counts of casts over the 1,996 annotated frames of EndoVis 2018 and the 97 of EndoVis 2017 (VQLA annotations, MIT,
longbai1006/Surgical-VQLA). It contains only counts, no frames.
"""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

import numpy as np

from pipeline.labels.activities import RAREST_FIRST
from pipeline.sources.vqla import State

TABLE = Path(__file__).with_name("casts.csv")


Cast = tuple[State, ...]


@cache
def read_casts(source: str) -> dict[str, tuple[tuple[Cast, int], ...]]:
    """Return casts with their counts by activity, for "endovis18" or "endovis17". The instrument with the rarest action comes first."""
    by_activity: dict[str, list[tuple[Cast, int]]] = {}
    with TABLE.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            if row["source"] == source:
                states = [State(*state.split(":")) for state in row["cast"].split(";")]
                states.sort(key=lambda state: RAREST_FIRST.index(state.activity))
                by_activity.setdefault(row["activity"], []).append((tuple(states), int(row["frames"])))
    return {activity: tuple(casts) for activity, casts in by_activity.items()}


def cast_frame(activity: str, rng: np.random.Generator, source: str = "endovis18") -> Cast:
    """Draw the cast of a frame with the activity `activity`, with the frequencies of the real annotations."""
    casts = read_casts(source)[activity]
    weights = np.array([count for _, count in casts], float)
    return casts[int(rng.choice(len(casts), p=weights / weights.sum()))][0]
