"""Which frames are for training and which for testing."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from pipeline.errors import InputError

TRAIN, TEST = "train", "test"


def hash_rank(seed: int, frame_id: str) -> str:
    """The key that frames are ranked by: SHA-256 of the seed and the canonical frame id."""
    return hashlib.sha256(f"{seed}:{frame_id}".encode()).hexdigest()


def published_split(activity_of: Mapping[str, str], seed: int = 0) -> dict[str, str]:
    """The published split: floor(n/5) of each activity's n frames are test, drawn by hash rank.

    The draw depends on the seed and the ids alone, so that any two labs get the same split.

    Args:
        activity_of: activity of each frame id.
        seed: another seed gives another draw.

    Returns:
        "train" or "test" for each frame id.
    """
    by_activity: dict[str, list[str]] = defaultdict(list)
    for frame_id, activity in activity_of.items():
        by_activity[activity].append(frame_id)
    split = dict.fromkeys(activity_of, TRAIN)
    for frame_ids in by_activity.values():
        ranked = sorted(frame_ids, key=lambda frame_id: hash_rank(seed, frame_id))
        split.update(dict.fromkeys(ranked[: len(ranked) // 5], TEST))
    return split


def split_by_groups(sequence_of: Mapping[str, str], test: Iterable[str]) -> dict[str, str]:
    """Put the named sequences or frames into the test part and all others into the training part.

    Args:
        sequence_of: sequence of each frame id.
        test: names of sequences, or frame ids.

    Raises:
        InputError: if a name is neither, or if a part would be empty.
    """
    wanted: Sequence[str] = list(test)
    known = set(sequence_of) | set(sequence_of.values())
    for name in wanted:
        if name not in known:
            raise InputError(
                f"split: test names {name!r}, which is neither a sequence nor a frame; "
                f"sequences: {', '.join(sorted(set(sequence_of.values())))}."
            )
    split = {
        frame_id: TEST if frame_id in wanted or sequence in wanted else TRAIN
        for frame_id, sequence in sequence_of.items()
    }
    if len(set(split.values())) < 2:
        raise InputError(f"split: test names {wanted} leave the training or the test part empty.")
    return split
