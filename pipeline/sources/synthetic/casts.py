"""Which instruments a generated frame shows and what each does: as often together as in the real annotations.

casts.csv counts them over the 1,996 annotated frames of EndoVis 2018 and the 97 of EndoVis 2017 (VQLA annotations, MIT,
longbai1006/Surgical-VQLA): counts alone, no frame.
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
    """Casts and their counts by activity, of "endovis18" or "endovis17"; who does the rarest action comes first."""
    found: dict[str, list[tuple[Cast, int]]] = {}
    with TABLE.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            if row["source"] == source:
                doings = [State(*doing.split(":")) for doing in row["cast"].split(";")]
                doings.sort(key=lambda doing: RAREST_FIRST.index(doing.activity))
                found.setdefault(row["activity"], []).append((tuple(doings), int(row["frames"])))
    return {activity: tuple(casts) for activity, casts in found.items()}


def cast_frame(activity: str, rng: np.random.Generator, source: str = "endovis18") -> Cast:
    """Draw the instruments of a frame whose activity is `activity`, as often as they were annotated together."""
    casts = read_casts(source)[activity]
    weights = np.array([count for _, count in casts], float)
    return casts[int(rng.choice(len(casts), p=weights / weights.sum()))][0]
