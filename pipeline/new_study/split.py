"""Chooses whole sequences as the test split of your own frames."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from pipeline.datasets.splits import hash_rank

_MOST_CANDIDATES = 50
_LARGEST_SHARE = 0.25  # of all frames, unless the fewest test sequences are larger
_ENOUGH_FOR_TWO = 4  # with this many sequences, two are test sequences, because a report has no intervals with one


def choose_test_sequences(sequences: Sequence[str], labels: Sequence[Collection[str]]) -> list[str]:
    """Choose test sequences with about a fifth of the frames, so that both splits have as many classes and activities as possible.

    With four sequences or more, at least two are chosen.

    Args:
        sequences: sequence of each frame. There must be at least two sequences.
        labels: known classes and activities of each frame.

    Returns:
        Sorted names, which are always the same for the same frames.
    """
    members: dict[str, list[int]] = {}
    for index, name in enumerate(sequences):
        members.setdefault(name, []).append(index)
    ranked = sorted(members, key=lambda name: hash_rank(0, name))
    starts = range(min(len(ranked), _MOST_CANDIDATES))
    candidates = [_fill(ranked[start:] + ranked[:start], members, len(sequences)) for start in starts]
    best: list[str] = max(candidates, key=lambda test: _score(test, members, labels))
    return sorted(best)


def _fill(order: Sequence[str], members: Mapping[str, Sequence[int]], frames: int) -> list[str]:
    """Return the first sequence and each later one that fits into `_LARGEST_SHARE`. The last sequence is never taken.

    If only one of `_ENOUGH_FOR_TWO` or more sequences fits, the smallest of the others is taken too.
    """
    test: list[str] = []
    count = 0
    for name in order[:-1]:
        if not test or count + len(members[name]) <= _LARGEST_SHARE * frames:
            test.append(name)
            count += len(members[name])
    if len(test) == 1 and len(order) >= _ENOUGH_FOR_TWO:
        test.append(min(order[1:], key=lambda name: len(members[name])))
    return test


def _score(
    test: Collection[str], members: Mapping[str, Sequence[int]], labels: Sequence[Collection[str]]
) -> tuple[int, float]:
    """Return the number of classes and activities in both splits, and how close the test split is to a fifth of the frames."""
    in_test, in_train = (
        {label for name in names for index in members[name] for label in labels[index]}
        for names in (test, set(members) - set(test))
    )
    share = sum(len(members[name]) for name in test) / len(labels)
    return len(in_test & in_train), -abs(share - 0.2)
