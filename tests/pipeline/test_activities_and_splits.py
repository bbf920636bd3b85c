"""The activity rule and the split, on the real annotations where they are given."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.datasets.activities import (
    ACTIVITY_OF_ACTION,
    ENDOVIS_COUNTS,
    GEN_COUNTS,
    RAREST_FIRST,
    activity_of_action,
    frame_activity,
)
from pipeline.datasets.splits import published_split, split_by_groups
from pipeline.errors import InputError


def read_states(sample_data: Path) -> dict[tuple[str, str, str], list[str]]:
    frames: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    with (sample_data / "vqla" / "states.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            frames[row["source"], row["split"], row["frame"]].append(row["action"])
    return frames


def test_real_annotations_give_the_counts_of_the_paper(sample_data: Path) -> None:
    activity = {key: frame_activity(actions) for key, actions in read_states(sample_data).items()}
    endovis = {"/".join(key): value for key, value in activity.items() if key[0] == "endovis18"}
    assert Counter(endovis.values()) == ENDOVIS_COUNTS and len(endovis) == 1996
    split = published_split(endovis)
    assert Counter(split.values()) == {"train": 1601, "test": 395}
    tests = Counter(endovis[frame] for frame, part in split.items() if part == "test")
    assert tests == {name: count // 5 for name, count in ENDOVIS_COUNTS.items()}
    assert Counter(value for key, value in activity.items() if key[0] == "endovis17") == GEN_COUNTS


def test_the_frozen_order_is_that_of_the_real_annotations(sample_data: Path) -> None:
    uses: Counter[str] = Counter()
    for key, actions in read_states(sample_data).items():
        if key[0] == "endovis18":
            uses.update(activity_of_action(action) for action in actions)
    assert tuple(sorted(uses, key=lambda name: uses[name])) == RAREST_FIRST


def test_the_counts_are_those_of_the_paper() -> None:
    assert sum(ENDOVIS_COUNTS.values()) == 1996 and len(ENDOVIS_COUNTS) == 12
    assert sum(count // 5 for count in ENDOVIS_COUNTS.values()) == 395
    assert sum(GEN_COUNTS.values()) == 97 and len(GEN_COUNTS) == 6


def test_the_rarest_action_decides() -> None:
    assert frame_activity(["Idle", "Idle"]) == "idle"
    assert frame_activity(["Idle", "Tissue_Manipulation", "Cutting"]) == "cutting"
    assert frame_activity(["Cutting", "Suturing", "Idle"]) == "suturing"
    assert frame_activity(["ultrasound sensing", "Tool-Manipulation"]) == "ultrasound_sensing"
    with pytest.raises(InputError, match="unknown action 'Dancing'; known: cauterization"):
        frame_activity(["Dancing"])
    with pytest.raises(InputError, match="without any action"):
        frame_activity([])


@given(st.lists(st.sampled_from(sorted(ACTIVITY_OF_ACTION)), min_size=1, max_size=6), st.randoms())
def test_order_and_repetition_of_actions_do_not_matter(actions: list[str], random: object) -> None:
    shuffled = actions * 2
    random.shuffle(shuffled)
    assert frame_activity(shuffled) == frame_activity(actions)


@given(st.dictionaries(st.text(min_size=1, max_size=8), st.sampled_from(["idle", "cutting", "suction"]), max_size=60))
def test_a_fifth_of_each_activity_is_test_in_any_order(activity_of: dict[str, str]) -> None:
    split = published_split(activity_of)
    assert split == published_split(dict(reversed(list(activity_of.items()))))
    for activity, count in Counter(activity_of.values()).items():
        assert sum(split[frame] == "test" for frame in activity_of if activity_of[frame] == activity) == count // 5


def test_a_frame_of_one_activity_does_not_move_another() -> None:
    """Adding frames of another activity leaves the draw of this one as it is: the ranking is by hash alone."""
    base = {f"frame{i}": "idle" for i in range(40)}
    more = base | {f"other{i}": "cutting" for i in range(17)}
    assert {frame: published_split(more)[frame] for frame in base} == published_split(base)
    assert published_split(base, seed=1) != published_split(base, seed=0)


def test_split_by_groups() -> None:
    sequences = {"a1": "a", "a2": "a", "b1": "b", "b2": "b"}
    assert split_by_groups(sequences, ["b"]) == {"a1": "train", "a2": "train", "b1": "test", "b2": "test"}
    assert split_by_groups(sequences, ["a2"])["a2"] == "test"
    with pytest.raises(InputError, match="'c', which is neither a sequence nor a frame; sequences: a, b"):
        split_by_groups(sequences, ["c"])
    with pytest.raises(InputError, match="part empty"):
        split_by_groups(sequences, ["a", "b"])
