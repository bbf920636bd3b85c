"""Decides which frames are for training, for validation and for testing."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from pipeline.datasets.sample import Sample
from pipeline.errors import InputError
from pipeline.labels.splits import TEST, TRAIN

VALIDATION_SHARE = 5  # one of 5 training frames is for validation, as one of 5 frames is for testing


def hash_rank(seed: int, frame_id: str) -> str:
    """Return the key that frames are ranked by: the SHA-256 of the seed and the canonical frame id."""
    return hashlib.sha256(f"{seed}:{frame_id}".encode()).hexdigest()


def random_split_by_activity(activity_of: Mapping[str, str], seed: int = 0) -> dict[str, str]:
    """Split at random within each activity: floor(n/5) of each activity's n frames go to the test split, drawn by hash rank.

    The draw depends only on the seed and the ids, so every lab gets the same split.

    Args:
        activity_of: activity by frame id.
        seed: seed of the draw.

    Returns:
        "train" or "test" by frame id.
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
        sequence_of: sequence by frame id.
        test: names of sequences, or frame ids.

    Raises:
        InputError: if a name is neither a sequence nor a frame, or if the training or the test split would be empty.
    """
    test_names: Sequence[str] = list(test)
    known = set(sequence_of) | set(sequence_of.values())
    for name in test_names:
        if name not in known:
            raise InputError(
                f"split: test names {name!r}, which is neither a sequence nor a frame; "
                f"sequences: {', '.join(sorted(set(sequence_of.values())))}."
            )
    split = {
        frame_id: TEST if frame_id in test_names or sequence in test_names else TRAIN
        for frame_id, sequence in sequence_of.items()
    }
    if len(set(split.values())) < 2:
        raise InputError(f"split: the test names {test_names} leave the training or the test split empty.")
    return split


def validation_ids(activity_of: Mapping[str, str], sequence_of: Mapping[str, str], seed: int = 0) -> frozenset[str]:
    """Return the training frames that are used for validation under `select_on: val`.

    If every frame has a sequence and there are several, whole sequences are taken in the order of their hash rank. The first one is always
    taken, and each further one if it fits into a fifth of the frames. Otherwise a fifth of each activity is drawn by hash rank.

    Args:
        activity_of: activity of each training frame, or "".
        sequence_of: sequence of each training frame, or "".
        seed: seed of the draw.
    """
    sequences = sorted(set(sequence_of.values()), key=lambda name: hash_rank(seed, name))
    if len(sequences) < 2 or "" in sequences:
        draw = random_split_by_activity(activity_of, seed + 1)  # another seed than for the test split
        return frozenset(frame_id for frame_id, split in draw.items() if split == TEST)
    validation: set[str] = set()
    allowed = len(sequence_of) // VALIDATION_SHARE
    for name in sequences:
        members = {frame_id for frame_id, sequence in sequence_of.items() if sequence == name}
        if not validation or len(validation) + len(members) <= allowed:
            validation |= members
    return frozenset(validation)


def validation_frames(samples: Iterable[Sample], split: Mapping[str, str]) -> frozenset[str]:
    """Return the ids of the training frames that are for validation under `select_on: val`; see `validation_ids`."""
    training = [sample for sample in samples if split[sample.frame_id] == TRAIN]
    return validation_ids({s.frame_id: s.activity for s in training}, {s.frame_id: s.sequence for s in training})
