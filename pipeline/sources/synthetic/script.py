"""Which frame of a generated tree shows what: activities in the proportions of the real data, in episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.errors import InputError


def proportional_counts(weights: Mapping[str, int], total: int, floor: int) -> dict[str, int]:
    """Share `total` frames among activities in proportion to `weights`, at least `floor` each.

    Raises:
        InputError: if `total` cannot hold the floors.
    """
    if total < floor * len(weights):
        raise InputError(
            f"raw.generate: {total} frames cannot hold {len(weights)} activities with {floor} each; ask for more."
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
    """A procedure: each activity's frames cut into episodes of at most `longest`, the episodes in random order."""
    runs: list[list[str]] = []
    for name, count in counts.items():
        runs += [[name] * min(longest, count - start) for start in range(0, count, longest)]
    return [name for index in rng.permutation(len(runs)) for name in runs[index]]


def deal(items: Sequence[str], hands: int) -> list[list[str]]:
    """Cut a sequence into `hands` consecutive parts of nearly equal length."""
    return [[items[i] for i in part] for part in np.array_split(np.arange(len(items)), hands)]
