"""Describes how a dataset's training frames were prepared. Checkpoints of models that are trained on the dataset store this description."""

from __future__ import annotations

from collections.abc import Callable, Set
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from endoarss.inference.preprocessing import MOST_SIZES, SIDES, Crop, Preprocessing, dark_borders
from pipeline.datasets.manifest import read_manifest
from pipeline.labels.splits import TRAIN
from pipeline.sources.official_crop import crop_window

# Raw trees of recordings of the da Vinci robot. Frames of EndoVis 2017 are cropped when they are read. Frames of EndoVis 2018 are released
# cropped, but the models trained on them are evaluated on EndoVis 2017.
_DA_VINCI = {"endovis2017", "endovis2018", "released_mtlendovis"}
_RECORDED = (1920, 1080)  # width and height before the crop, in pixels
_EXAMINED_AT_MOST = 256  # training images whose borders are measured, evenly spread


def _representative_sizes(sizes: Set[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Return the sizes, sorted. If there are more than `MOST_SIZES`, return only the extreme ones, because checkpoint headers are bounded.

    The extreme sizes have the smallest and the largest aspect ratio, shorter side and area.
    """
    if len(sizes) > MOST_SIZES:
        ordered = sorted(sizes)
        measures: tuple[Callable[[tuple[int, int]], float], ...] = (
            lambda size: size[0] / size[1],
            min,
            lambda size: size[0] * size[1],
        )
        sizes = {choose(ordered, key=measure) for measure in measures for choose in (min, max)}
    return tuple(sorted(sizes))


def preprocessing_of(folder: Path, images: NDArray[np.uint8]) -> Preprocessing:
    """Return how the training split of a built dataset was prepared. The result depends on the dataset and the input size alone.

    Args:
        folder: the built dataset.
        images: the dataset's training images at the input size: uint8 RGB (N, S, S, 3).

    Raises:
        InputError: if the manifest cannot be read.
    """
    rows = [row for row in read_manifest(folder) if row["split"] == TRAIN]
    sources = sorted({row["source"] for row in rows})
    examined = np.unique(np.linspace(0, len(images) - 1, min(_EXAMINED_AT_MOST, len(images))).round().astype(int))
    measured = [borders for borders in (dark_borders(images[index]) for index in examined) if borders is not None]
    shares = np.array(measured or [(0.0,) * len(SIDES)])
    top, bottom, left, right = crop_window(_RECORDED[1], _RECORDED[0])
    return Preprocessing(
        tuple(sources),
        _representative_sizes({(int(row["width"]), int(row["height"])) for row in rows}),
        tuple((round(float(side.min()), 4), round(float(side.max()), 4)) for side in shares.T),
        Crop(_RECORDED, (left, right), (top, bottom)) if _DA_VINCI.intersection(sources) else None,
    )
