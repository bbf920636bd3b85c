"""Which test images, at which severities, the gallery shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from endoarss.settings import IGNORED
from pipeline.datasets.load import Part

SIZE = 3
"""The most images of a dataset in the page's gallery."""


def shown_severities(severities: Sequence[int]) -> tuple[int, ...]:
    """Of the severities that a study measures those in the gallery: the lowest, the middle and the highest."""
    found = sorted(severities)
    return tuple(dict.fromkeys((found[0], found[len(found) // 2], found[-1])))


def representative(part: Part, count: int) -> list[int]:
    """Which images show most: those with the most classes first, no two of one activity as long as there are others.

    Args:
        part: the split. count: the most images.
    """
    richness = [len(set(np.unique(mask).tolist()) - {IGNORED}) for mask in part.masks]
    ranked = sorted(range(len(richness)), key=lambda i: (-richness[i], part.frame_ids[i]))
    first_of_activity: dict[int, int] = {}
    for index in ranked:
        first_of_activity.setdefault(index if part.activities is None else int(part.activities[index]), index)
    firsts = list(first_of_activity.values())
    return [*firsts, *(index for index in ranked if index not in firsts)][:count]
