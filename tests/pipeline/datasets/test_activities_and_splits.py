"""The rule of activities and the split rules, on the real annotations if they exist."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.datasets.splits import random_split_by_activity, split_by_groups, validation_ids
from pipeline.errors import InputError
from pipeline.labels.activities import (
    ACTIVITY_OF_ACTION,
    ENDOVIS_COUNTS,
    GEN_COUNTS,
    RAREST_FIRST,
    activity_of_action,
    frame_activity,
    normalise,
)
from pipeline.sources.synthetic import casts


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
    split = random_split_by_activity(endovis)
    assert Counter(split.values()) == {"train": 1601, "test": 395}
    tests = Counter(endovis[frame] for frame, part in split.items() if part == "test")
    assert tests == {name: count // 5 for name, count in ENDOVIS_COUNTS.items()}
    assert Counter(value for key, value in activity.items() if key[0] == "endovis17") == GEN_COUNTS


def test_the_order_of_rarity_is_that_of_the_real_annotations(sample_data: Path) -> None:
    uses: Counter[str] = Counter()
    for key, actions in read_states(sample_data).items():
        if key[0] == "endovis18":
            uses.update(activity_of_action(action) for action in actions)
    assert tuple(sorted(uses, key=lambda name: uses[name])) == RAREST_FIRST


def test_the_counts_are_those_of_the_paper() -> None:
    assert sum(ENDOVIS_COUNTS.values()) == 1996 and len(ENDOVIS_COUNTS) == 12
    assert sum(count // 5 for count in ENDOVIS_COUNTS.values()) == 395
    assert sum(GEN_COUNTS.values()) == 97 and len(GEN_COUNTS) == 6


def test_the_rarest_action_is_the_activity() -> None:
    assert frame_activity(["Idle", "Idle"]) == "idle"
    assert frame_activity(["Idle", "Tissue_Manipulation", "Cutting"]) == "cutting"
    assert frame_activity(["Cutting", "Suturing", "Idle"]) == "suturing"
    assert frame_activity(["ultrasound sensing", "Tool-Manipulation"]) == "ultrasound_sensing"
    with pytest.raises(InputError, match="unknown action 'Dancing'; known: cauterization"):
        frame_activity(["Dancing"])
    with pytest.raises(InputError, match="without actions"):
        frame_activity([])


@given(st.lists(st.sampled_from(sorted(ACTIVITY_OF_ACTION)), min_size=1, max_size=6), st.randoms())
def test_order_and_repetition_of_actions_do_not_matter(actions: list[str], random: object) -> None:
    shuffled = actions * 2
    random.shuffle(shuffled)
    assert frame_activity(shuffled) == frame_activity(actions)


@given(st.dictionaries(st.text(min_size=1, max_size=8), st.sampled_from(["idle", "cutting", "suction"]), max_size=60))
def test_a_fifth_of_each_activity_is_in_the_test_split_in_any_order(activity_of: dict[str, str]) -> None:
    split = random_split_by_activity(activity_of)
    assert split == random_split_by_activity(dict(reversed(list(activity_of.items()))))
    for activity, count in Counter(activity_of.values()).items():
        assert sum(split[frame] == "test" for frame in activity_of if activity_of[frame] == activity) == count // 5


def test_adding_frames_of_one_activity_does_not_change_the_split_of_others() -> None:
    """The ranking depends only on the hash of each frame."""
    base = {f"frame{i}": "idle" for i in range(40)}
    more = base | {f"other{i}": "cutting" for i in range(17)}
    assert {frame: random_split_by_activity(more)[frame] for frame in base} == random_split_by_activity(base)
    assert random_split_by_activity(base, seed=1) != random_split_by_activity(base, seed=0)


def test_split_by_groups() -> None:
    sequences = {"a1": "a", "a2": "a", "b1": "b", "b2": "b"}
    assert split_by_groups(sequences, ["b"]) == {"a1": "train", "a2": "train", "b1": "test", "b2": "test"}
    assert split_by_groups(sequences, ["a2"])["a2"] == "test"
    with pytest.raises(InputError, match="'c', which is neither a sequence nor a frame; sequences: a, b"):
        split_by_groups(sequences, ["c"])
    with pytest.raises(InputError, match="split empty"):
        split_by_groups(sequences, ["a", "b"])


@given(st.lists(st.integers(1, 12), min_size=2, max_size=9), st.integers(0, 5))
def test_validation_takes_whole_sequences_with_about_a_fifth_of_the_frames(lengths: list[int], seed: int) -> None:
    sequence_of = {f"s{s}_f{f}": f"s{s}" for s, length in enumerate(lengths) for f in range(length)}
    chosen = validation_ids(dict.fromkeys(sequence_of, "idle"), sequence_of, seed)
    held = {sequence_of[frame] for frame in chosen}
    assert chosen == {frame for frame, sequence in sequence_of.items() if sequence in held}
    assert len(held) == 1 or len(chosen) <= len(sequence_of) // 5
    assert len(held) < len(lengths)


def test_without_sequences_validation_takes_a_fifth_of_each_activity() -> None:
    activity_of = {f"f{i}": ("idle", "cutting")[i % 2] for i in range(40)}
    chosen = validation_ids(activity_of, dict.fromkeys(activity_of, ""))
    assert sorted(activity_of[frame] for frame in chosen) == ["cutting"] * 4 + ["idle"] * 4


def test_the_saved_casts_are_those_of_the_real_annotations(sample_data: Path) -> None:
    counted: Counter[tuple[str, str, str]] = Counter()
    with (sample_data / "vqla" / "states.csv").open(newline="") as stream:
        frames: dict[tuple[str, str, str], list[str]] = defaultdict(list)
        for row in csv.DictReader(stream):
            key = (row["source"], row["split"], row["frame"])
            frames[key].append(f"{normalise(row['instrument'])}:{normalise(row['action'])}")
    for key, doings in frames.items():
        activity = frame_activity(doing.split(":")[1] for doing in doings)
        counted[key[0], activity, ";".join(sorted(doings))] += 1
    with casts.TABLE.open(newline="") as stream:
        kept = {(r["source"], r["activity"], r["cast"]): int(r["frames"]) for r in csv.DictReader(stream)}
    assert kept == counted


def test_the_saved_casts_give_the_counts_of_the_paper() -> None:
    """The repository saves how many frames have which instruments with which actions."""
    for source, expected in (("endovis18", ENDOVIS_COUNTS), ("endovis17", GEN_COUNTS)):
        found: Counter[str] = Counter()
        uses: Counter[str] = Counter()
        for cast, count in (pair for pairs in casts.read_casts(source).values() for pair in pairs):
            found[frame_activity(doing.action for doing in cast)] += count
            for doing in cast:
                uses[doing.activity] += count
        assert found == expected
        if source == "endovis18":
            assert tuple(sorted(uses, key=lambda name: uses[name])) == RAREST_FIRST
            ids = {f"{name}_{i}": name for name, count in found.items() for i in range(count)}
            assert Counter(random_split_by_activity(ids).values()) == {"train": 1601, "test": 395}
