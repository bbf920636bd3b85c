"""Generates trees in the authors' release layout of MTLESD and MTLEndovis: {train,test}/<k>/{image,mask}/NAME.png."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from pipeline.io.images import Pixels, write_png
from pipeline.labels.activities import ENDOVIS_COUNTS
from pipeline.sources.endovis2018 import COMPATIBLE_2017
from pipeline.sources.synthetic.archive import zip_away
from pipeline.sources.synthetic.casts import cast_frame
from pipeline.sources.synthetic.endovis2018_tree import types_mask
from pipeline.sources.synthetic.esd_scenes import ACTIVITIES, render_esd_scene
from pipeline.sources.synthetic.scenes import render_scene
from pipeline.sources.synthetic.script import proportional_counts
from pipeline.sources.synthetic.tissue import sample_style

# Inferred from Table VII of the paper: 35, 120 and 247 of the 402 test frames.
_TEST_PROPORTIONS = {"marking": 35, "injection": 120, "dissection": 247}
VIDEOS = 8  # at least six of them occur in a test split of 40 frames


def generate_esd(root: Path, frames: int, height: int, width: int, seed: int) -> None:
    """Write a generated MTLESD tree. Of the n frames of an activity, floor(n/5) are in the test split.

    Args:
        root: an existing folder to fill.
        frames: number of frames; each activity gets at least 30 if possible.
        height: height of a frame in pixels.
        width: width of a frame in pixels.
        seed: random seed.
    """
    rng = np.random.default_rng(seed)
    counts = proportional_counts(_TEST_PROPORTIONS, frames, min(30, frames // 4))
    styles = [sample_style(rng) for _ in range(VIDEOS)]

    def render(activity: str, index: int) -> tuple[Pixels, Pixels]:
        return render_esd_scene(activity, styles[index % VIDEOS], height, width, rng)

    _write_tree(root, "esd", ACTIVITIES, counts, render, rng)


def generate_released_mtlendovis(root: Path, frames: int, height: int, width: int, seed: int, floor: int = 5) -> None:
    """Write a generated MTLEndovis tree with twelve activities and 2017-compatible mask ids, as one .zip with a wrapper folder.

    Args:
        root: an existing folder to fill.
        frames: number of frames.
        height: height of a frame in pixels.
        width: width of a frame in pixels.
        seed: random seed.
        floor: smallest number of frames per activity.
    """
    rng = np.random.default_rng(seed)
    counts = proportional_counts(ENDOVIS_COUNTS, frames, floor)
    styles = [sample_style(rng) for _ in range(VIDEOS)]

    def render(activity: str, index: int) -> tuple[Pixels, Pixels]:
        scene = render_scene(cast_frame(activity, rng), styles[index % VIDEOS], height, width, rng)
        return scene.image, types_mask(scene, COMPATIBLE_2017)

    _write_tree(root / "MTLEndovis", "released_mtlendovis", sorted(ENDOVIS_COUNTS), counts, render, rng)
    zip_away(root / "MTLEndovis")


def _write_tree(
    root: Path,
    name: str,
    activities: Sequence[str],
    counts: Mapping[str, int],
    render: Callable[[str, int], tuple[Pixels, Pixels]],
    rng: np.random.Generator,
) -> None:
    """Render the frames of each activity and write them, a fifth of them, drawn at random, into the test split."""
    with tqdm(total=sum(counts.values()), desc=f"generate {name}", unit="frame") as progress:
        for k, activity in enumerate(activities, start=1):
            test_indices = set(rng.permutation(counts[activity])[: counts[activity] // 5].tolist())
            for index in range(counts[activity]):
                image, mask = render(activity, index)
                folder = root / ("test" if index in test_indices else "train") / str(k)
                for kind, pixels in (("image", image), ("mask", mask)):
                    write_png(folder / kind / f"{activity}_{index:04d}.png", pixels)
                progress.update()
