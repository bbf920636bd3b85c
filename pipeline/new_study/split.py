"""Chooses whole sequences as test split of frames of one's own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from pipeline.datasets.splits import hash_rank

_MOST_CANDIDATES = 50
_SHARE = 0.25  # of all frames, at most; but one sequence at least


def choose_test_sequences(sequences: Sequence[str], shown: Sequence[Collection[str]]) -> list[str]:
    """Choose sequences for testing: about a fifth of the frames, and so that both parts show as many classes and activities as can be.

    Args:
        sequences: of each frame; two different ones or more. shown: classes and activities of each frame, as far as they are known.

    Returns:
        Names, sorted; the same ones for the same frames.
    """
    members: dict[str, list[int]] = {}
    for place, name in enumerate(sequences):
        members.setdefault(name, []).append(place)
    ranked = sorted(members, key=lambda name: hash_rank(0, name))
    starts = range(min(len(ranked), _MOST_CANDIDATES))
    candidates = [_filled(ranked[start:] + ranked[:start], members, len(sequences)) for start in starts]
    best: list[str] = max(candidates, key=lambda test: _common(test, members, shown))
    return sorted(best)


def _filled(order: Sequence[str], members: Mapping[str, Sequence[int]], frames: int) -> list[str]:
    """Sequences in this order as long as they fit, the first one in any case; one is left to train on."""
    test: list[str] = []
    count = 0
    for name in order[:-1]:
        if not test or count + len(members[name]) <= _SHARE * frames:
            test.append(name)
            count += len(members[name])
    return test


def _common(
    test: Collection[str], members: Mapping[str, Sequence[int]], shown: Sequence[Collection[str]]
) -> tuple[int, float]:
    """How many classes and activities are in both parts, and then how near the test split is to a fifth."""
    parts = [
        {what for name in names for place in members[name] for what in shown[place]}
        for names in (test, set(members) - set(test))
    ]
    share = sum(len(members[name]) for name in test) / len(shown)
    return len(parts[0] & parts[1]), -abs(share - 0.2)
