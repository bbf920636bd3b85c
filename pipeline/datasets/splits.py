"""Which frames are for training and which for testing."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from pipeline.datasets.sample import Sample
from pipeline.errors import InputError
from pipeline.labels.splits import TEST, TRAIN

VALIDATION_SHARE = 5  # one part in five of the training split, as the test split is one in five of all


def hash_rank(seed: int, frame_id: str) -> str:
    """The key that frames are ranked by: SHA-256 of the seed and the canonical frame id."""
    return hashlib.sha256(f"{seed}:{frame_id}".encode()).hexdigest()


def random_split_by_activity(activity_of: Mapping[str, str], seed: int = 0) -> dict[str, str]:
    """Split at random within each activity: floor(n/5) of each activity's n frames are test, drawn by hash rank.

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
    """Put the named sequences or frames into the test split and all others into the training split.

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
        raise InputError(f"split: test names {wanted} leave the training or the test split empty.")
    return split


def validation_ids(activity_of: Mapping[str, str], sequence_of: Mapping[str, str], seed: int = 0) -> frozenset[str]:
    """The training frames that choose a model where a study says `select_on: val`; the others train it.

    By sequence where sequences are known: whole ones, in the order of their hash rank, as long as they fit into a fifth of
    the frames (at least one). Else a fifth of each activity, drawn by hash rank.

    Args:
        activity_of, sequence_of: of each training frame, "" where there is none. seed: another seed gives another draw.
    """
    sequences = sorted(set(sequence_of.values()), key=lambda name: hash_rank(seed, name))
    if len(sequences) < 2 or "" in sequences:
        split = random_split_by_activity(activity_of, seed + 1)  # another draw than that of the test split
        return frozenset(frame_id for frame_id, part in split.items() if part == TEST)
    chosen: set[str] = set()
    room = len(sequence_of) // VALIDATION_SHARE
    for name in sequences:
        members = {frame_id for frame_id, sequence in sequence_of.items() if sequence == name}
        if not chosen or len(chosen) + len(members) <= room:
            chosen |= members
    return frozenset(chosen)


def validation_frames(samples: Iterable[Sample], split: Mapping[str, str]) -> frozenset[str]:
    """Return the ids of the training frames that choose the epoch under `select_on: val`; see `validation_ids`."""
    training = [sample for sample in samples if split[sample.frame_id] == TRAIN]
    return validation_ids({s.frame_id: s.activity for s in training}, {s.frame_id: s.sequence for s in training})
