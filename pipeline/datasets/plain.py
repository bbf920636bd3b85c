"""A dataset of one's own, in the plain layout that docs/real-data.md describes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from pipeline.datasets.sample import Collected, Order, Sample
from pipeline.errors import InputError
from pipeline.images import Pixels, check_same_size, read_ids, read_rgb
from pipeline.sources import plain


def collect(order: Order) -> Collected:
    """The frames of labels.csv in the raw tree `plain`.

    Raises:
        InputError: if labels.csv is absent or malformed.
    """
    frames = plain.read_tree(order.roots["plain"], order.labels.activities)
    return Collected([_sample(order, frame) for frame in frames])


def _sample(order: Order, frame: plain.FramePlain) -> Sample:
    return Sample(
        frame_id=f"{order.name}_{Path(frame.name).stem}",
        source="plain",
        sequence=frame.sequence,
        read=partial(_read, frame.image, frame.mask, len(order.labels.classes)),
        files=(frame.image, frame.mask),
        image_file=frame.image,
        activity=frame.activity,
        actions=(frame.activity,) if frame.activity else (),
        released_split=frame.split,
    )


def _read(image_path: Path, mask_path: Path, classes: int) -> tuple[Pixels, Pixels]:
    image, mask = read_rgb(image_path), read_ids(mask_path)
    check_same_size(image, mask, image_path, mask_path)
    if mask.max(initial=0) >= classes:
        raise InputError(
            f"{mask_path}: value {mask.max()}; the study lists {classes} classes, so expected 0 to {classes - 1}."
        )
    return image, mask
