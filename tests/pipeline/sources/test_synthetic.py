"""Generated scenes: deterministic, complete, and with exact masks."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.labels.activities import ENDOVIS_COUNTS, RAREST_FIRST, frame_activity
from pipeline.sources.synthetic import esd_scenes
from pipeline.sources.synthetic.casts import cast_frame
from pipeline.sources.synthetic.esd_scenes import render_esd_scene
from pipeline.sources.synthetic.instruments import KINDS, Pose, draw_instrument
from pipeline.sources.synthetic.pretraining import generate_scenes
from pipeline.sources.synthetic.released_trees import VIDEOS, generate_esd
from pipeline.sources.synthetic.scenes import render_scene
from pipeline.sources.synthetic.script import divide, episodes, proportional_counts
from pipeline.sources.synthetic.tissue import sample_style
from pipeline.study.loading import load_study

ROOT = Path(__file__).parents[3]


def digest(folder: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            total.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return total.hexdigest()


def test_the_same_seed_gives_the_same_tree(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "abc"]
    for folder, seed in zip(folders, (5, 5, 6), strict=True):
        folder.mkdir()
        generate_esd(folder, frames=16, height=64, width=80, seed=seed)
    assert digest(folders[0]) == digest(folders[1]) != digest(folders[2])


@pytest.mark.parametrize("activity", RAREST_FIRST)
def test_a_scene_shows_its_activity(activity: str) -> None:
    rng = np.random.default_rng(4)
    cast = cast_frame(activity, rng)
    assert frame_activity(doing.action for doing in cast) == activity == cast[0].activity
    scene = render_scene(cast, sample_style(rng), 128, 160, rng)
    assert scene.image.shape == (128, 160, 3) and scene.image.dtype == np.uint8
    assert len(scene.instruments) == len(cast)
    covered = np.sum([drawn.parts > 0 for drawn in scene.instruments], axis=0)
    assert covered.max() == 1, "instruments in front hide those behind"
    assert scene.instruments[0].parts.any()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_mask_is_where_the_instrument_was_painted(kind: str) -> None:
    before = np.full((128, 160, 3), 0.5, np.float32)
    after = before.copy()
    parts = draw_instrument(after, kind, Pose(90.0, 60.0, 0.4, 0.3))
    changed = np.abs(after - before).max(axis=2)
    assert parts.any() and set(np.unique(parts)) <= {0, 1, 2, 3}
    assert (changed[parts > 0] > 0.01).mean() > 0.9
    # Outside the mask there is nothing but a shadow and the edge's half-covered pixels.
    assert (after[parts == 0].mean(axis=-1) > 0.55).mean() < 0.02


def test_kinds_differ_in_shape() -> None:
    masks = {}
    for kind in KINDS:
        canvas = np.zeros((128, 160, 3), np.float32)
        masks[kind] = draw_instrument(canvas, kind, Pose(90.0, 60.0, 0.0, 0.3))
    names = sorted(masks)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            assert (masks[one] != masks[other]).sum() > 30, (one, other)


def _esd_classes(activity: str, scenes: int = 24) -> list[frozenset[int]]:
    """The classes in the masks of some scenes of one activity."""
    rng = np.random.default_rng(1)
    style = sample_style(rng)
    masks = [render_esd_scene(activity, style, 96, 120, rng)[1] for _ in range(scenes)]
    return [frozenset(np.unique(mask).tolist()) - {0} for mask in masks]


def test_esd_scenes_have_the_classes_of_their_activity() -> None:
    """Scenes may lack the incision or the forceps, and a dissection may begin with the electric knife."""
    assert set(_esd_classes("marking", 6)) == {frozenset({2, 3})}
    assert set(_esd_classes("injection")) == {frozenset({2, 3}), frozenset({3, 4})}
    assert set(_esd_classes("dissection")) == {frozenset({3, 4, 5}), frozenset({4, 5, 7}), frozenset({4, 5, 6, 7})}


def test_stains_and_smoke_are_in_many_esd_frames_and_not_in_all() -> None:
    changed = 0
    for seed in range(12):
        before = np.full((96, 120, 3), 0.5, np.float32)
        after = before.copy()
        esd_scenes._paint_stains(after, np.random.default_rng(seed))
        esd_scenes._paint_smoke(after, np.random.default_rng(seed))
        changed += bool((after != before).any())
        assert after.min() >= 0 and after.max() <= 1
    assert 6 <= changed < 12


def test_the_test_split_of_the_demos_esd_tree_has_40_frames_of_six_videos(tmp_path: Path) -> None:
    frames = load_study(ROOT / "studies/demo.yaml").raw.generate.esd_frames  # type: ignore[union-attr]
    generate_esd(tmp_path, frames, 32, 40, seed=2020)
    names = [path.stem for path in (tmp_path / "test").glob("*/image/*.png")]
    assert len(names) >= 40
    assert len({int(name.split("_")[1]) % VIDEOS for name in names}) >= 6


@settings(max_examples=40, deadline=None)
@given(st.integers(60, 500), st.integers(1, 5))
def test_counts_keep_proportions_and_floors(total: int, floor: int) -> None:
    counts = proportional_counts(ENDOVIS_COUNTS, total, floor)
    assert sum(counts.values()) == total and min(counts.values()) >= floor
    assert set(counts) == set(ENDOVIS_COUNTS)


def test_counts_that_do_not_fit() -> None:
    with pytest.raises(InputError, match="raw.generate: 11 frames are too few for 12 activities"):
        proportional_counts(ENDOVIS_COUNTS, 11, 1)


def test_episodes_and_divide_keep_all_frames() -> None:
    counts = {"a": 7, "b": 3}
    plan = episodes(counts, np.random.default_rng(0))
    assert sorted(plan) == ["a"] * 7 + ["b"] * 3
    assert [name for part in divide(plan, 4) for name in part] == plan


def test_pretraining_scenes_are_in_no_tree() -> None:
    images, masks, activities = generate_scenes(24, 64, seed=0)
    again = generate_scenes(24, 64, seed=0)
    assert images.shape == (24, 64, 64, 3) and masks.shape == (24, 64, 64) and len(set(activities)) > 8
    np.testing.assert_array_equal(images, again[0])
    assert (generate_scenes(24, 64, seed=1)[0] != images).any()
