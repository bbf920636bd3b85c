"""Variants of EndoVis 2018 downloads: the paper's 1,996 frames (1,601 training, 395 test) are built from each of them."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.datasets.manifest import read_manifest
from pipeline.datasets.sample import Collected
from pipeline.io.images import read_ids
from pipeline.labels.activities import ENDOVIS_COUNTS
from pipeline.preparation.build_dataset import build_dataset, collect, split_of
from pipeline.preparation.check_sources import check_sources
from pipeline.sources.endovis2018 import SEQUENCES
from pipeline.sources.synthetic.casts import Cast
from pipeline.study.loading import make_study
from pipeline.study.models import Study
from tests.pipeline.small_trees import (
    REPAIRED,
    TEST_LAYOUTS,
    Key,
    annotated_2018,
    expected_mask,
    few_2018,
    write_2018,
    write_repairs,
    write_tests,
    write_texts,
)

TYPES = {
    "raw, compatible": ("instrument_labels_2017", "compatible2017"),
    "raw, native": ("instrument_labels", "native2018"),
    "built, compatible": ("annotations", "compatible2017"),
    "built, native": ("annotations", "native2018"),
}
EDITIONS = {"EndoVis-18-VQLA": True, "EndoVis-18-VQLA-Extend": False}  # folder: whether it is the first edition
WAYS: dict[str, tuple[Any, ...]] = {
    "types": tuple(TYPES),
    "stapler": (False, True),
    "repairs": (False, True),
    "tests": ("", *TEST_LAYOUTS),
    "edition": ("first", "extend", "both"),
}


def covering() -> list[tuple[Any, ...]]:
    """Return few combinations of the variants of a copy, in which each two variants occur together."""

    def pairs(one: tuple[Any, ...]) -> set[tuple[Any, ...]]:
        return {(i, one[i], j, one[j]) for i, j in combinations(range(len(one)), 2)}

    every = list(product(*WAYS.values()))
    left, chosen = set().union(*map(pairs, every)), []
    while left:
        chosen.append(max(every, key=lambda one: len(pairs(one) & left)))
        left -= pairs(chosen[-1])
    return chosen


def study_of(minimal: Callable[..., dict[str, Any]], root: Path) -> Study:
    return make_study(
        minimal(
            raw={"endovis2018": str(root), "vqla2018": str(root)},
            datasets={"mtlendovis": {}},
            training={"schedules": {"mtlendovis": {"epochs": 3, "learning_rate": 0.001}}},
            cells=[
                {"datasets": ["mtlendovis"], "backbones": ["resnet"], "architectures": ["hps"], "weightings": ["equal"]}
            ],
        )
    )


def complete(root: Path, frames: Mapping[Key, Cast], way: tuple[Any, ...], repaired: list[Key]) -> None:
    """Add the files of a variant to the releases."""
    _, _, repairs, tests, _ = way
    if repairs:
        write_repairs(root, frames, repaired)
    if tests:
        write_tests(root, tests, range(250) if len(frames) > 1000 else (0, 249))
    for name, first in EDITIONS.items():
        if has_edition(way, name):
            write_texts(root / name, frames, first)


def has_edition(way: tuple[Any, ...], name: str) -> bool:
    return way[4] == "both" or (way[4] == "first") == EDITIONS[name]


def check(collected: Collected, frames: Mapping[Key, Cast], way: tuple[Any, ...], repaired: list[Key]) -> None:
    """Check that the frames are the annotated ones, and that the notes name exactly the irregularities."""
    _, stapler, repairs, tests, edition = way
    assert {sample.frame_id for sample in collected.samples} == {
        f"endovis2018_seq{sequence}_frame{number:03d}" for sequence, number in frames
    }
    notes = collected.notes
    assert ("corrected_labels" in notes, "test_frames" in notes) == (repairs, bool(tests))
    assert not repairs or all(f"seq_{s} frame{n:03d}" in notes["corrected_labels"] for s, n in repaired)
    # Of a built set pictures are read until the scheme is told, which may be before the first stapler.
    assert stapler or "stapler" not in notes
    surplus = {group.reason: len(group.frames) for group in collected.left_out if "first edition" in group.reason}
    assert list(surplus.values()) == ([] if edition == "extend" else [11])
    assert ("first edition" in notes["vqla_editions"]) == (edition != "extend")
    assert ("Extend edition" in notes["vqla_editions"]) == (edition != "first")


@pytest.mark.parametrize("way", covering(), ids=str)
def test_every_variant_of_a_small_copy_gives_the_same_masks(
    way: tuple[Any, ...], minimal: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    frames, repaired = few_2018(), [(1, 11), (1, 12), (5, 16)]
    write_2018(tmp_path, frames, *TYPES[way[0]], way[1])
    complete(tmp_path, frames, way, repaired)
    collected, _ = collect(study_of(minimal, tmp_path), "mtlendovis")
    check(collected, frames, way, repaired)
    assert not files_of_tests(collected)
    for sample, cast in zip(collected.samples, frames.values(), strict=True):
        np.testing.assert_array_equal(sample.read()[1], expected_mask(cast))


def files_of_tests(collected: Collected) -> list[Path]:
    return [
        path for sample in collected.samples for path in sample.files if "-001" in str(path) or "test_data" in str(path)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("types", TYPES)
def test_every_variant_of_a_complete_copy_gives_the_papers_frames(
    types: str, minimal: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    frames, root, store = annotated_2018(), tmp_path / "raw", tmp_path / "store"
    write_2018(root, {**{(s, n): () for s in SEQUENCES for n in range(149)}, **frames}, *TYPES[types])
    for name, first in EDITIONS.items():
        write_texts(store / name, frames, first)
    write_tests(store, "root")
    stapler = {key: cast for key, cast in frames.items() if any(doing.instrument == "stapler" for doing in cast)}
    study = study_of(minimal, root)
    for way in sorted(way for way in covering() if way[0] == types):
        if way[1]:  # those without it come first
            write_2018(root, stapler, *TYPES[types], stapler=True)
        places = {store / name: root / name for name in EDITIONS if has_edition(way, name)}
        if way[3]:
            places |= {store / f"seq_{n}": root / TEST_LAYOUTS[way[3]].format(n=n) for n in range(1, 5)}
        for stored, placed in places.items():
            placed.parent.mkdir(parents=True, exist_ok=True)
            stored.rename(placed)
        if way[2]:
            write_repairs(root, frames, REPAIRED)
        collected, _ = collect(study, "mtlendovis")
        check(collected, frames, way, REPAIRED)
        parts = Counter(split_of(study, "mtlendovis", collected.samples).values())
        assert parts == {"train": 1601, "test": 395}, way
        for stored, placed in places.items():
            placed.rename(stored)
        shutil.rmtree(root / "repairs", ignore_errors=True)


@pytest.mark.slow
def test_a_complete_copy_with_all_variants_is_built(
    minimal: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    frames = annotated_2018()
    everything = {**{(s, n): () for s in SEQUENCES for n in range(149)}, **frames}
    way = ("raw, compatible", True, True, "doubled", "both")
    write_2018(tmp_path / "raw", everything, *TYPES[way[0]], stapler=True)
    complete(tmp_path / "raw", frames, way, REPAIRED)
    study = study_of(minimal, tmp_path / "raw")
    report = check_sources(study, ["mtlendovis"], deep=True)
    assert report.usable and {part.state for part in report.all_reports} == {"complete"}
    (dataset,) = report.datasets
    assert dataset.by_split == {"train": 1601, "test": 395}
    build_dataset(study, "mtlendovis")
    rows = read_manifest(Path("data/datasets/mtlendovis"))
    assert Counter(row["split"] for row in rows) == {"train": 1601, "test": 395}
    assert Counter(row["activity"] for row in rows) == ENDOVIS_COUNTS
    for row, ((sequence, number), cast) in zip(rows, sorted(frames.items(), key=frame_name), strict=True):
        assert row["frame_id"] == f"endovis2018_seq{sequence}_frame{number:03d}"
        np.testing.assert_array_equal(read_ids(Path("data/datasets/mtlendovis") / row["mask"]), expected_mask(cast))


def frame_name(item: tuple[Key, Cast]) -> str:
    (sequence, number), _ = item
    return f"endovis2018_seq{sequence}_frame{number:03d}"
