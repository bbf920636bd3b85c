"""Plans the activities of a generated tree's frames, in episodes and with the proportions of the real data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.errors import InputError


def proportional_counts(weights: Mapping[str, int], total: int, floor: int) -> dict[str, int]:
    """Distribute `total` frames over activities in proportion to `weights`, with at least `floor` frames each.

    Raises:
        InputError: if `total` is too small for `floor` frames per activity.
    """
    if total < floor * len(weights):
        raise InputError(
            f"raw.generate: {total} frames are too few for {len(weights)} activities with {floor} frames each; increase the number."
        )
    counts = {name: max(floor, round(total * weight / sum(weights.values()))) for name, weight in weights.items()}
    largest_first = sorted(counts, key=lambda name: -counts[name])
    while sum(counts.values()) != total:
        step = 1 if sum(counts.values()) < total else -1
        for name in largest_first:
            if sum(counts.values()) != total and counts[name] + step >= floor:
                counts[name] += step
    return counts


def episodes(counts: Mapping[str, int], rng: np.random.Generator, longest: int = 5) -> list[str]:
    """Return one activity per frame: each activity's frames form episodes of at most `longest` frames. Their order is random."""
    episode_list: list[list[str]] = []
    for name, count in counts.items():
        episode_list += [[name] * min(longest, count - start) for start in range(0, count, longest)]
    return [name for index in rng.permutation(len(episode_list)) for name in episode_list[index]]


def divide(items: Sequence[str], count: int) -> list[list[str]]:
    """Divide a list into `count` consecutive lists of nearly equal length."""
    return [[items[i] for i in indices] for indices in np.array_split(np.arange(len(items)), count)]
