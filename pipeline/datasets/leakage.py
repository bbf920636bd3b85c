"""Measures how similar test frames are to training frames under the split rules random_by_activity and by_sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.splits import random_split_by_activity, split_by_groups
from pipeline.labels.splits import BY_SEQUENCE, RANDOM_BY_ACTIVITY, TEST

THUMBNAIL = 32


def thumbnails(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return one vector per frame, to compare frames: its 32x32 RGB thumbnail with mean 0 and norm 1, float32 (N, 3072).

    Args:
        images: uint8 (N, S, S, 3).
    """
    small = [cv2.resize(image, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA).ravel() for image in images]
    vectors = np.stack(small).astype(np.float32)
    vectors -= vectors.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.maximum(norms, 1e-6)).astype(np.float32)


def nearest_similarity(test: NDArray[np.float32], train: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the correlation of each test frame with the most similar training frame: float64 (N,), 1 for identical images.

    Args:
        test: `thumbnails` of the N test frames.
        train: `thumbnails` of the training frames, at least one.
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
    """Return `nearest_similarity` of the same frames under both split rules.

    Args:
        images: all frames, uint8 (N, S, S, 3).
        frame_ids: ids of the frames.
        activity_of: activity by frame id.
        sequence_of: sequence by frame id.
        test_sequences: test sequences of by_sequence; a partial download may lack some of them.
        seed: seed of the random split.

    Returns:
        Similarities by split rule, without the rules that leave the training or the test split empty.
    """
    vectors = thumbnails(images)
    present = set(sequence_of.values())
    tested = [name for name in test_sequences if name in present]
    splits = {RANDOM_BY_ACTIVITY: random_split_by_activity(activity_of, seed)}
    if tested and set(tested) != present:
        splits[BY_SEQUENCE] = split_by_groups(sequence_of, tested)
    similarities = {}
    for rule, split in splits.items():
        is_test = np.array([split[frame_id] == TEST for frame_id in frame_ids])
        if is_test.any():  # with very few frames the random test split may be empty
            similarities[rule] = nearest_similarity(vectors[is_test], vectors[~is_test])
    return similarities
