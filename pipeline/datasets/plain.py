"""Collects your own frames, in the plain layout that docs/real-data.md describes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from endoarss.labels import IGNORED
from pipeline.datasets.sample import ABSENT, BAD, Collected, CollectRequest, LeftOut, Sample
from pipeline.errors import InputError
from pipeline.io.images import Pixels, check_same_size, read_channels, read_colours, read_rgb
from pipeline.labels.classes import StoredValues
from pipeline.sources import plain
from pipeline.sources.frame_files import missing_file

_SHOWN_AT_MOST = 5  # unknown values in a message
_UNKNOWN = -1


def collect(request: CollectRequest) -> Collected:
    """Collect your own frames: those that the labels CSV lists, or every image with a mask if there is no CSV.

    Raises:
        InputError: if labels.csv is malformed, or is absent although the study has activities; if no image has a mask, or images and
            masks cannot be paired by name; or if a listed frame lacks its image or mask (with `request.skip_bad`: if all of them do).
    """
    tree = plain.find_tree(request.roots, request.columns)
    frames, without_mask = plain.read_tree(tree, request.labels.activities), plain.images_without_mask(tree)
    missing = {frame.name: message for frame in frames if (message := _missing_file(frame))}
    if missing and (not request.skip_bad or len(missing) == len(frames)):
        raise InputError(next(iter(missing.values())))
    samples = [_sample(request, frame) for frame in frames if frame.name not in missing]
    left_out = [LeftOut(missing[f.name], (f"{request.name}_{f.key}",), BAD) for f in frames if f.name in missing]
    if without_mask:
        names = tuple(f"{request.name}_{plain.key_of(name)}" for name in without_mask)
        left_out.append(LeftOut("the image has no mask", names, ABSENT))
    return Collected(samples, left_out=left_out)


def _missing_file(frame: plain.FramePlain) -> str:
    """Return a message that names the missing file of a frame, or an empty string."""
    for path, what in ((frame.image, "the image of a row of labels.csv"), (frame.mask, f"the mask of {frame.image}")):
        if not path.is_file():
            return missing_file(path, what)
    return ""


def _sample(request: CollectRequest, frame: plain.FramePlain) -> Sample:
    assert request.labels.stored is not None, "the labels of own frames include the meaning of mask values"
    return Sample(
        frame_id=f"{request.name}_{frame.key}",
        source="plain",
        sequence=frame.sequence,
        read=partial(_read, frame.image, frame.mask, request.labels.stored),
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
    """Read a mask as class ids, with `IGNORED` for pixels without a class: uint8 (H, W).

    Args:
        path: the mask file.
        stored: meaning of the stored values.

    Raises:
        InputError: if the mask cannot be read, has a value without a meaning, has colours instead of numbers or numbers instead of
            colours, or if every pixel is ignored.
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
        raise InputError(f"{path}: {_unknown_values(unknown, stored)}")
    if (classes == IGNORED).all():
        raise InputError(
            f"{path}: every pixel is ignored, so there is nothing to learn or to measure. Leave the frame out."
        )
    return classes.astype(np.uint8)


def _read_numbers(path: Path) -> NDArray[np.uint8]:
    channels = read_channels(path)
    if channels.ndim == 2:
        return channels
    if channels.shape[2] >= 3 and (channels[..., :3] != channels[..., :1]).any():
        raise InputError(
            f"{path}: the mask has colours, but the study reads its masks as numbers. State the meaning of the colours under "
            'plain.values, e.g. {"#000000": background, "#ff0000": tool}.'
        )
    return channels[..., 0]


def _unknown_values(unknown: NDArray[np.uint8] | NDArray[np.int32], stored: StoredValues) -> str:
    """Return a message with the values of a mask that have no meaning, the most frequent first, and with a remedy."""
    values, counts = np.unique(unknown, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:_SHOWN_AT_MOST]
    shown = ", ".join(f"{stored.notation(int(values[i]))} ({counts[i]:,} pixels)" for i in order)
    more = f" and {len(values) - len(order):,} other values" if len(values) > len(order) else ""
    known_values = sorted(stored.meanings)
    known = ", ".join(map(stored.notation, known_values[:12])) + (", ..." if len(known_values) > 12 else "")
    if not stored.colours and known_values == list(range(len(known_values))):
        known = f"0 to {len(known_values) - 1}"
    return (
        f"holds {shown}{more}, which stand for no class; expected {known}. State under plain.values what each value stands for (a class, "
        "or ignore), or correct the mask."
    )
