"""Chooses whole sequences as the test split of your own frames."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from pipeline.datasets.splits import hash_rank

_MOST_CANDIDATES = 50
_SHARE = 0.25  # largest share of all frames, unless a single sequence is larger


def choose_test_sequences(sequences: Sequence[str], shown: Sequence[Collection[str]]) -> list[str]:
    """Choose test sequences with about a fifth of the frames, so that both splits show as many classes and activities as possible.

    Args:
        sequences: sequence of each frame, with at least two different ones.
        shown: known classes and activities of each frame.

    Returns:
        Sorted names; always the same for the same frames.
    """
    members: dict[str, list[int]] = {}
    for index, name in enumerate(sequences):
        members.setdefault(name, []).append(index)
    ranked = sorted(members, key=lambda name: hash_rank(0, name))
    starts = range(min(len(ranked), _MOST_CANDIDATES))
    candidates = [_filled(ranked[start:] + ranked[:start], members, len(sequences)) for start in starts]
    best: list[str] = max(candidates, key=lambda test: _common(test, members, shown))
    return sorted(best)


def _filled(order: Sequence[str], members: Mapping[str, Sequence[int]], frames: int) -> list[str]:
    """Return sequences in this order while they fit, at least the first; the last sequence is never used."""
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
    """Return the number of classes and activities in both splits, and how close the test split is to a fifth of the frames."""
    in_test, in_train = (
        {label for name in names for index in members[name] for label in shown[index]}
        for names in (test, set(members) - set(test))
    )
    share = sum(len(members[name]) for name in test) / len(shown)
    return len(in_test & in_train), -abs(share - 0.2)
