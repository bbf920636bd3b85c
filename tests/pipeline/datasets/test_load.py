"""A split of a dataset, and a selection of its frames."""

from __future__ import annotations

import numpy as np

from pipeline.datasets.load import Split


def test_frames_are_taken_by_indices_in_their_order_or_by_a_mask() -> None:
    images = np.arange(4 * 2 * 2 * 3, dtype=np.uint8).reshape(4, 2, 2, 3)
    part = Split(list("abcd"), list("wxyz"), images, images[..., 0], np.arange(4))
    taken = part.take([3, 1])
    assert taken.frame_ids == ["d", "b"] and taken.sequences == ["z", "x"]
    np.testing.assert_array_equal(taken.images, images[[3, 1]])
    np.testing.assert_array_equal(taken.activities, [3, 1])
    chosen = part.take(np.array([False, True, False, True]))
    assert chosen.frame_ids == ["b", "d"]
    np.testing.assert_array_equal(chosen.masks, images[[1, 3], ..., 0])
