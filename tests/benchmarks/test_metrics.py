"""The benchmark of metrics measures what it says: same values on both sides, realistic masks, misses named."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.metrics import CLASSES, find_missed, make_pairs, measure_distances, measure_evaluator


@pytest.mark.parametrize("stray", [False, True])
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_every_class_is_in_both_masks_and_values_agree(stray: bool) -> None:
    pairs = make_pairs((160, 120), 2, stray)
    for pair in pairs:
        for mask in pair:
            assert mask.shape == (120, 160) and set(np.unique(mask)) == set(range(CLASSES))
        assert 0 < (pair[0] != pair[1]).mean() < 0.3
    row = measure_distances(pairs, 1)
    assert row["differs"] < 0.0005 and row["ratio"] == row["monai_ms"] / row["ours_ms"] > 0


def test_a_test_set_is_scored() -> None:
    whole = measure_evaluator(2)
    assert whole["together_s"] == pytest.approx(whole["added_s"] + whole["scored_s"])


def test_misses_are_named() -> None:
    row = {"ratio": 5.0, "differs": 0.1}
    whole = {"images": 400, "together_s": 9.0}
    missed = find_missed({"1280x1024 moved": row, "224x224 moved": {**row, "differs": 0.0}}, whole)
    assert len(missed) == 3 and "5.0 of 6 times" in missed[0] and "9.0 s, at most 8" in missed[2]
