"""A dataset of one's own, in the plain layout that docs/real-data.md describes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from endoarss.labels import IGNORED
from pipeline.datasets.sample import ABSENT, BAD, Collected, LeftOut, Order, Sample
from pipeline.errors import InputError
from pipeline.io.images import Pixels, check_same_size, read_channels, read_colours, read_rgb
from pipeline.labels.classes import StoredValues
from pipeline.sources import plain
from pipeline.sources.frame_files import missing_file

_NAMED = 5  # so many values of a mask are named
_UNKNOWN = -1


def collect(order: Order) -> Collected:
    """Collect the study's own frames: those of the labels CSV, or where there is none every image with a mask.

    Raises:
        InputError: if labels.csv is malformed, or absent where there are activities; if no image has a mask; or if a listed frame
            lacks its image or mask and `order.skip_bad` is not set.
    """
    tree = plain.find_tree(order.roots, order.columns)
    frames, bare = plain.read_tree(tree, order.labels.activities), plain.images_without_mask(tree)
    missing = {frame.name: text for frame in frames if (text := _missing(frame))}
    if missing and (not order.skip_bad or len(missing) == len(frames)):
        raise InputError(next(iter(missing.values())))
    samples = [_sample(order, frame) for frame in frames if frame.name not in missing]
    left_out = [LeftOut(missing[f.name], (f"{order.name}_{f.key}",), BAD) for f in frames if f.name in missing]
    if bare:
        names = tuple(f"{order.name}_{plain.key_of(name)}" for name in bare)
        left_out.append(LeftOut("the image has no mask", names, ABSENT))
    return Collected(samples, left_out=left_out)


def _missing(frame: plain.FramePlain) -> str:
    for path, what in ((frame.image, "the image of a row of labels.csv"), (frame.mask, f"the mask of {frame.image}")):
        if not path.is_file():
            return missing_file(path, what)
    return ""


def _sample(order: Order, frame: plain.FramePlain) -> Sample:
    assert order.labels.stored is not None, "a study says what the values of its own masks stand for"
    return Sample(
        frame_id=f"{order.name}_{frame.key}",
        source="plain",
        sequence=frame.sequence,
        read=partial(_read, frame.image, frame.mask, order.labels.stored),
        files=(frame.image, frame.mask),
        image_file=frame.image,
        activity=frame.activity,
        actions=(frame.activity,) if frame.activity else (),
        given_split=frame.split,
    )


def _read(image_path: Path, mask_path: Path, stored: StoredValues) -> tuple[Pixels, Pixels]:
    image, mask = read_rgb(image_path), read_classes(mask_path, stored)
    check_same_size(image, mask, image_path, mask_path)
    return image, mask


def read_classes(path: Path, stored: StoredValues) -> Pixels:
    """Read a mask as class ids, `IGNORED` where a pixel is left out: uint8 (H, W).

    Args:
        path: the mask. stored: what its values stand for.

    Raises:
        InputError: if the picture cannot be read, has a value that stands for nothing, has colours where numbers were expected or the
            other way round, or if all of it is ignored.
    """
    values: NDArray[np.uint8] | NDArray[np.int32]
    if stored.colours:
        red, green, blue = np.moveaxis(read_colours(path).astype(np.int32), 2, 0)
        values = red << 16 | green << 8 | blue
        classes = np.full(values.shape, _UNKNOWN, np.int16)
        for value, meaning in stored.meanings.items():
            classes[values == value] = meaning
    else:
        table = np.full(256, _UNKNOWN, np.int16)
        table[list(stored.meanings)] = list(stored.meanings.values())
        values = _read_numbers(path)
        classes = table[values]
    unknown = values[classes == _UNKNOWN]
    if unknown.size:
        raise InputError(f"{path}: {_say_unknown(unknown, stored)}")
    if (classes == IGNORED).all():
        raise InputError(
            f"{path}: every pixel is ignored, so that there is nothing to learn or to measure. Leave the frame out."
        )
    return classes.astype(np.uint8)


def _read_numbers(path: Path) -> NDArray[np.uint8]:
    channels = read_channels(path)
    if channels.ndim == 2:
        return channels
    if channels.shape[2] >= 3 and (channels[..., :3] != channels[..., :1]).any():
        raise InputError(
            f"{path}: a mask in colours, and the study reads its masks as numbers. Say what the colours stand for: "
            'plain.values, e.g. {"#000000": background, "#ff0000": tool}.'
        )
    return channels[..., 0]


def _say_unknown(unknown: NDArray[np.uint8] | NDArray[np.int32], stored: StoredValues) -> str:
    """Say which values of a mask stand for nothing, the most frequent ones first, and what to do."""
    values, counts = np.unique(unknown, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:_NAMED]
    named = ", ".join(f"{stored.written(int(values[i]))} ({counts[i]:,} pixels)" for i in order)
    more = f" and {len(values) - len(order):,} other values" if len(values) > len(order) else ""
    meant = sorted(stored.meanings)
    known = ", ".join(map(stored.written, meant[:12])) + (", ..." if len(meant) > 12 else "")
    if not stored.colours and meant == list(range(len(meant))):
        known = f"0 to {len(meant) - 1}"
    return (
        f"holds {named}{more}, which stand for no class; expected {known}. Say under plain.values what each value stands for (a class, or "
        "ignore), or mend the mask."
    )
