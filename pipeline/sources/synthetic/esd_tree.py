"""Writes a generated tree in the layout the authors release MTLESD in: {train,test}/<k>/{image,mask}/NAME.png."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tqdm import tqdm

from pipeline.images import write_png
from pipeline.sources.synthetic.esd_scenes import ACTIVITIES, render_esd_scene
from pipeline.sources.synthetic.script import proportional_counts
from pipeline.sources.synthetic.tissue import sample_style

# Inferred from Table VII of the paper: 35, 120 and 247 of the 402 test frames.
_TEST_PROPORTIONS = {"marking": 35, "injection": 120, "dissection": 247}
_VIDEOS = 6


def generate_esd(root: Path, frames: int, height: int, width: int, seed: int) -> None:
    """Write `frames` frames; floor(n/5) of each activity's n are in the test part.

    Args:
        root: an existing folder to fill.
        frames: how many frames; at least 10 of an activity where they allow it.
        height, width: size of a frame in pixels.
        seed: decides everything.
    """
    rng = np.random.default_rng(seed)
    counts = proportional_counts(_TEST_PROPORTIONS, frames, min(15, frames // 4))
    styles = [sample_style(rng) for _ in range(_VIDEOS)]
    with tqdm(total=frames, desc="generate esd", unit="frame") as progress:
        for k, activity in enumerate(ACTIVITIES, start=1):
            held_out = set(rng.permutation(counts[activity])[: counts[activity] // 5].tolist())
            for index in range(counts[activity]):
                image, mask = render_esd_scene(activity, styles[index % _VIDEOS], height, width, rng)
                folder = root / ("test" if index in held_out else "train") / str(k)
                name = f"{activity}_{index:04d}.png"
                for kind, pixels in (("image", image), ("mask", mask)):
                    (folder / kind).mkdir(parents=True, exist_ok=True)
                    write_png(folder / kind / name, pixels)
                progress.update()
