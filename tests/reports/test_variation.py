"""Intervals and p-values on numbers drawn without any difference: how often they say that there is one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reports.statistics.brackets import SHARE, SHARE_DIFFERENCE, limits_of, with_brackets
from reports.statistics.variation import Variation, gap_of_best, interval, note_of_intervals, p_values, say_intervals

DRAWS = 20_000


def without_each(values: np.ndarray) -> np.ndarray:
    """Means of all and of all but each along the first axis: (U, ...) to (1 + U, ...)."""
    count = len(values)
    return np.concatenate([values.mean(axis=0)[None], (values.sum(axis=0) - values) / (count - 1)])


@pytest.mark.parametrize("sequences", [2, 3, 5, 14, 30])
def test_one_difference_in_twenty_is_false(sequences: int) -> None:
    differences = np.random.default_rng(2).standard_normal((sequences, DRAWS))
    varied, variation = without_each(differences), Variation(sequences)
    low, high = interval(varied, variation)
    excluded = (low > 0) | (high < 0)
    assert 0.045 < excluded.mean() < 0.055
    np.testing.assert_array_equal(excluded, p_values(varied, variation) < 0.05)


@pytest.mark.parametrize("sequences", [6, 14, 30])
def test_sequences_and_trainings_vary_together(sequences: int) -> None:
    """Two models of three seeds, in which both matter alike: with sequences alone many more would be false."""
    random = np.random.default_rng(3)
    variation = Variation(sequences, {"a": 3, "b": 3})
    of_sequences = random.standard_normal((2, 1, sequences, DRAWS)) / 3
    scores = of_sequences + random.standard_normal((2, 3, 1, DRAWS)) * 3**0.5 / sequences**0.5 / 3
    a, b = (
        variation.vary(np.stack([without_each(run) for run in runs]), name)
        for runs, name in zip(scores, "ab", strict=True)
    )
    assert 0.03 < (p_values(a - b, variation) < 0.05).mean() < 0.06
    alone = Variation(sequences)
    assert (p_values((a - b)[: 1 + sequences], alone) < 0.05).mean() > 0.12


def test_the_best_of_many_equals_is_rarely_better() -> None:
    """Of one and of four models against three and 37 others; to choose the best first would contradict in 10 and 7 %."""
    random, variation = np.random.default_rng(4), Variation(14)
    for own, others in ((1, 3), (4, 37)):
        better = worse = 0
        for _ in range(600):
            mine, theirs = random.standard_normal((14, own, 1)), random.standard_normal((14, 1, others))
            gap = gap_of_best(without_each(mine - theirs), variation)
            assert gap.low <= gap.difference <= gap.high and (gap.p < 0.05) == (gap.low > 0 or gap.high < 0)
            better, worse = better + (gap.low > 0), worse + (gap.high < 0)
        assert better <= 0.04 * 600 and worse <= 0.04 * 600


def test_what_does_not_vary_is_certain_and_nothing_is_no_difference() -> None:
    variation = Variation(3)
    varied = np.array([[0.2, 0.0, 1e-17]] * 4)
    np.testing.assert_array_equal(p_values(varied, variation), [0, 1, 1])
    low, high = interval(varied, variation)
    np.testing.assert_allclose(low, high)
    assert np.isnan(interval(varied, Variation())[0]).all() and np.isnan(p_values(varied, Variation())).all()


def test_notes_say_what_varies() -> None:
    def said(*arguments: Any) -> str:
        return say_intervals([note_of_intervals(*arguments)])

    seeds = said("D", "9 sequences", Variation(9, {"a": 3}), True)
    assert "over 9 sequences (D), and over 3 trainings of each model that has 3 or more." in seeds
    assert "independent" not in said("D", "9 sequences", Variation(9), True)
    assert said("D", "9 images", Variation(9), False).endswith("these intervals are too narrow.")
    assert "only for these trained models" in said("D", "9 sequences", Variation(9), True)
    assert said("D", "1 image", Variation(), False) == "D: no intervals, because there is only 1 image."


def test_what_holds_for_several_datasets_is_said_once() -> None:
    notes = [
        note_of_intervals("A", "9 sequences", Variation(9), True),
        note_of_intervals("B", "1 image", Variation(), False),
        note_of_intervals("C", "7 images", Variation(7), False),
        note_of_intervals("D, by sequence", "5 images", Variation(5, {"a": 3}), False),
    ]
    text = say_intervals([*notes, notes[0]])
    assert "t intervals over 9 sequences (A), 7 images (C). They hold only for these trained models" in text
    assert "t intervals over 5 images (D, by sequence), and over 3 trainings" in text
    assert text.count("Models are compared on the same images.") == 1
    assert "B: no intervals, because there is only 1 image." in text
    assert text.endswith(
        "Images of unknown sequence (C; D, by sequence) count as independent: if some are frames of one video, these "
        "intervals are too narrow."
    )
    assert say_intervals([]) == ""


def test_printed_intervals_end_at_the_limits_of_the_number() -> None:
    assert with_brackets(97.0, 88.0, 106.0, limits=SHARE) == "97.0 [88.0, 100.0]"
    assert with_brackets(-0.04, -3.0, 0.04, sign="+") == "0.0 [-3.0, 0.0]", "a rounded zero has no sign"
    assert with_brackets(3.0, -4.0, 10.0, limits=limits_of("mPC")) == "3.0 [0.0, 10.0]"
    assert with_brackets(99.0, -4.0, 110.0, limits=limits_of("rPC")) == "99.0 [0.0, 110.0]", "rPC may exceed 100 %"
    assert with_brackets(3.0, -4.0, 110.0, limits=limits_of("relative_mCE")) == "3.0 [-4.0, 110.0]"
    assert with_brackets(-7.0, -130.0, 116.0, "+", limits=SHARE_DIFFERENCE) == "-7.0 [-100.0, +100.0]"
    assert with_brackets(3.0, np.nan, np.nan, limits=SHARE) == "3.0"
