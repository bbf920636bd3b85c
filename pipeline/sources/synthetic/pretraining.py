"""Generates laparoscopic and ESD scenes for pretraining the demo's backbone.

No dataset contains these scenes, because their random stream differs from that of every generated tree.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from corruptions.pictures import resize_image, resize_mask
from pipeline.labels.classes import ENDOVIS, ESD
from pipeline.sources.synthetic import esd_scenes
from pipeline.sources.synthetic.casts import cast_frame
from pipeline.sources.synthetic.instruments import KINDS
from pipeline.sources.synthetic.scenes import render_scene
from pipeline.sources.synthetic.tissue import sample_style

# The classes of a scene: every kind of instrument, then the areas of ESD.
_AREAS = {esd_scenes.MARKING_AREA: 0, esd_scenes.INCISION_AREA: 1, esd_scenes.MUCOSAL_FLAP: 2}
_ESD_KINDS = {
    esd_scenes.ELECTRIC_KNIFE: "electric_knife",
    esd_scenes.FPCW_FORCEPS: "fpcw_forceps",
    esd_scenes.FPCW_KNIFE: "fpcw_knife",
}
_KIND_ID = {name: index for index, name in enumerate(KINDS, start=1)}
CLASSES = ("background", *KINDS, "marking_area", "incision_area", "mucosal_flap")
ACTIVITIES = (*ENDOVIS.activities, *ESD.activities)


def generate_scenes(count: int, size: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int64]]:
    """Generate scenes: three quarters are laparoscopic, one quarter is ESD. Within each kind, all activities are equally frequent.

    Args:
        count: number of scenes, N.
        size: side length of images and masks in pixels, S.
        seed: random seed.

    Returns:
        uint8 images (N, S, S, 3), uint8 masks (N, S, S) of `CLASSES`, int64 activities (N,) of `ACTIVITIES`.
    """
    rng = np.random.default_rng([seed, 14])  # 14: a stream that no tree uses
    height = max(96, size)
    width = height * 5 // 4
    images = np.empty((count, size, size, 3), np.uint8)
    masks = np.empty((count, size, size), np.uint8)
    activities = np.empty(count, np.int64)
    for index in tqdm(range(count), desc="generate scenes", unit="scene", mininterval=1.0):
        style = sample_style(rng)
        if index % 4 < 3:
            activity = ENDOVIS.activities[(index // 4 * 3 + index % 4) % len(ENDOVIS.activities)]
            scene = render_scene(cast_frame(activity, rng), style, height, width, rng)
            image, mask = scene.image, np.zeros((height, width), np.uint8)
            for drawn in scene.instruments:
                mask[drawn.parts > 0] = _KIND_ID[drawn.state.instrument]
        else:
            activity = ESD.activities[index // 4 % len(ESD.activities)]
            image, stored = esd_scenes.render_esd_scene(activity, style, height, width, rng)
            mask = np.zeros_like(stored)
            for value, area in _AREAS.items():
                mask[stored == value] = len(KINDS) + 1 + area
            for value, kind in _ESD_KINDS.items():
                mask[stored == value] = _KIND_ID[kind]
        images[index], masks[index] = resize_image(image, size), resize_mask(mask, size)
        activities[index] = ACTIVITIES.index(activity)
    return images, masks, activities
