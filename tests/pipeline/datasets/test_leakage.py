"""Similarity of test and training frames."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from pipeline.datasets.leakage import nearest_similarity, similarity_by_split, thumbnails


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (20, 64, 64, 3), np.uint8)


def test_similarity_is_the_largest_correlation(images: np.ndarray) -> None:
    vectors = thumbnails(images)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    found = nearest_similarity(vectors[:5], vectors[5:])
    np.testing.assert_allclose(found, cosine_similarity(vectors[:5], vectors[5:]).max(axis=1), rtol=1e-5)
    assert nearest_similarity(vectors[:1], vectors) == pytest.approx(1)


def test_brightness_and_contrast_do_not_matter_and_black_frames_do_no_harm(images: np.ndarray) -> None:
    darker = (images[:1] * 0.5).astype(np.uint8)
    assert nearest_similarity(thumbnails(darker), thumbnails(images)) == pytest.approx(1, abs=1e-3)
    black = np.zeros((1, 64, 64, 3), np.uint8)
    assert np.isfinite(nearest_similarity(thumbnails(black), thumbnails(images))).all()


def test_near_copies_within_a_video_leak_only_in_the_random_split(images: np.ndarray) -> None:
    """Four videos of near copies: a test frame has a copy in the training split if frames are drawn at random, but not by sequence."""
    noise = np.random.default_rng(1).integers(0, 8, (40, 64, 64, 3))
    frames = np.clip(images[np.arange(40) // 10].astype(int) + noise, 0, 255).astype(np.uint8)
    ids = [f"f{i}" for i in range(40)]
    sequence_of = {name: f"s{i // 10}" for i, name in enumerate(ids)}
    found = similarity_by_split(frames, ids, dict.fromkeys(ids, "idle"), sequence_of, ["s0"])
    assert len(found["random_by_activity"]) == 8 and len(found["by_sequence"]) == 10
    assert found["random_by_activity"].min() > 0.95 and found["by_sequence"].max() < 0.5
    partial = similarity_by_split(frames, ids, dict.fromkeys(ids, "idle"), sequence_of, ["s0", "absent"])
    np.testing.assert_array_equal(partial["by_sequence"], found["by_sequence"])
    assert set(similarity_by_split(frames, ids, dict.fromkeys(ids, "idle"), sequence_of, ["absent"])) == {
        "random_by_activity"
    }
