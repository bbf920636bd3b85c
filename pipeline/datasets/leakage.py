"""How alike the frames of the test split are to those of the training split, under the splits random_by_activity and by_sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.splits import random_split_by_activity, split_by_groups
from pipeline.labels.splits import BY_SEQUENCE, RANDOM_BY_ACTIVITY, TEST

THUMBNAIL = 32


def thumbnails(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What frames are compared by: 32x32 RGB, each with mean 0 and norm 1, float32 (N, 3072).

    Args:
        images: uint8 (N, S, S, 3).
    """
    small = [cv2.resize(image, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA).ravel() for image in images]
    vectors = np.stack(small).astype(np.float32)
    vectors -= vectors.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.maximum(norms, 1e-6)).astype(np.float32)


def nearest_similarity(test: NDArray[np.float32], train: NDArray[np.float32]) -> NDArray[np.float64]:
    """Correlation of each test frame with the training frame most like it: float64 (N,), 1 for the same picture.

    Args:
        test: thumbnails (N, D). train: thumbnails (M, D), M at least 1.
    """
    best = [(test[start : start + 256] @ train.T).max(axis=1) for start in range(0, len(test), 256)]
    return np.concatenate(best).astype(np.float64)


def similarity_by_split(
    images: NDArray[np.uint8],
    frame_ids: Sequence[str],
    activity_of: Mapping[str, str],
    sequence_of: Mapping[str, str],
    test_sequences: Sequence[str],
    seed: int = 0,
) -> dict[str, NDArray[np.float64]]:
    """`nearest_similarity` of the same frames under both splits.

    Args:
        images: all frames, uint8 (N, S, S, 3). frame_ids: theirs. activity_of, sequence_of: by frame id.
        test_sequences: those that by_sequence tests on, of which a partial download may lack some.
        seed: of the random split.

    Returns:
        By name of the split; a split that leaves a part empty is left out.
    """
    vectors = thumbnails(images)
    there = set(sequence_of.values())
    tested = [name for name in test_sequences if name in there]
    splits = {RANDOM_BY_ACTIVITY: random_split_by_activity(activity_of, seed)}
    if tested and set(tested) != there:
        splits[BY_SEQUENCE] = split_by_groups(sequence_of, tested)
    found = {}
    for name, split in splits.items():
        is_test = np.array([split[frame_id] == TEST for frame_id in frame_ids])
        if is_test.any():  # a handful of frames may leave the random test split empty
            found[name] = nearest_similarity(vectors[is_test], vectors[~is_test])
    return found
