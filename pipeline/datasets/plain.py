"""A dataset of one's own, in the plain layout that docs/real-data.md describes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from pipeline.datasets.sample import BAD, Collected, LeftOut, Order, Sample
from pipeline.errors import InputError
from pipeline.images import Pixels, check_same_size, read_ids, read_rgb
from pipeline.sources import plain
from pipeline.sources.frame_files import missing_file


def collect(order: Order) -> Collected:
    """The frames of labels.csv in the raw tree `plain`.

    Raises:
        InputError: if labels.csv is absent or malformed, or a frame lacks its image or mask and `order.skip_bad` is not set.
    """
    frames = plain.read_tree(order.roots["plain"], order.labels.activities)
    missing = {frame.name: text for frame in frames if (text := _missing(frame))}
    if missing and (not order.skip_bad or len(missing) == len(frames)):
        raise InputError(next(iter(missing.values())))
    samples = [_sample(order, frame) for frame in frames if frame.name not in missing]
    bad = [LeftOut(text, (_frame_id(order, name),), BAD) for name, text in missing.items()]
    return Collected(samples, left_out=bad)


def _missing(frame: plain.FramePlain) -> str:
    for path, what in ((frame.image, "the image of a row of labels.csv"), (frame.mask, f"the mask of {frame.image}")):
        if not path.is_file():
            return missing_file(path, what)
    return ""


def _frame_id(order: Order, name: str) -> str:
    return f"{order.name}_{Path(name).stem}"


def _sample(order: Order, frame: plain.FramePlain) -> Sample:
    return Sample(
        frame_id=_frame_id(order, frame.name),
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
