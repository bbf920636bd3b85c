"""Reads the trees that the authors release: {train,test}/<k>/{image,mask}/NAME.png, one folder k per activity.

MTLESD (k = 1 to 3) and MTLEndovis (k = 1 to 12) have this layout, with different mask values.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.io.images import read_ids
from pipeline.io.raw_trees import find_holder
from pipeline.labels.activities import ENDOVIS_COUNTS
from pipeline.labels.classes import ESD
from pipeline.sources.contacts import CONTACTS
from pipeline.sources.frame_files import frame_files, missing_file

WHERE_TO_ASK = CONTACTS["esd"]


@dataclass(frozen=True)
class Encoding:
    """The encoding of one released dataset.

    Attributes:
        title: name of the dataset.
        activities: activity of folder 1, 2, ...
        classes: class id by mask value.
    """

    title: str
    activities: tuple[str, ...]
    classes: dict[int, int]


# The twelve folders have the order of the paper's list (section IV-A), which is alphabetical. A complete tree is checked against the twelve
# counts, which are all different.
ENCODINGS = {
    "esd": Encoding("MTLESD", ESD.activities, {0: 0, 2: 1, 3: 2, 4: 3, 5: 4, 6: 5, 7: 6}),
    "released_mtlendovis": Encoding(
        "MTLEndovis", tuple(sorted(ENDOVIS_COUNTS)), {0: 0, 1: 1, 2: 2, 3: 3, 6: 4, 7: 5, 8: 6, 9: 7}
    ),
}


@dataclass(frozen=True)
class FrameReleased:
    """One frame: its released split, activity, number of the activity folder, name and files."""

    split: str
    activity: str
    folder: int
    name: str
    image: Path
    mask: Path | None


def read_tree(root: Path, source: str) -> list[FrameReleased]:
    """List the content of a released tree without decoding images. An image without a mask has `mask` None.

    Args:
        root: a folder that contains train/ and test/; wrapper folders are allowed.
        source: a key of `ENCODINGS`.

    Raises:
        InputError: if the tree is absent or empty, if a folder does not belong to an activity, or if a complete tree has other counts
            than the dataset.
    """
    encoding = ENCODINGS[source]
    if not root.is_dir():
        raise InputError(
            f"{root}: no such folder. The {encoding.title} tree is expected here; it is available from {WHERE_TO_ASK}."
        )
    root = find_holder(root, ("train", "test"))
    frames = []
    last = len(encoding.activities)
    for split in ("train", "test"):
        for folder in sorted(path for path in (root / split).glob("*") if path.is_dir()):
            if folder.name not in map(str, range(1, last + 1)):
                raise InputError(
                    f"{folder}: expected the activity folders 1 to {last} ({', '.join(encoding.activities)})."
                )
            number = int(folder.name)
            for image in frame_files(folder / "image"):
                mask = folder / "mask" / f"{image.stem}.png"
                mask_or_none = mask if mask.is_file() else None
                frames.append(
                    FrameReleased(split, encoding.activities[number - 1], number, image.stem, image, mask_or_none)
                )
    if not frames:
        raise InputError(
            f"{root}: contains no image. Expected train/1/image/NAME.png and train/1/mask/NAME.png; the tree is available from "
            f"{WHERE_TO_ASK}."
        )
    if source == "released_mtlendovis":
        _check_counts(root, frames)
    return frames


def _check_counts(root: Path, frames: list[FrameReleased]) -> None:
    """Raise InputError if a complete tree does not have the paper's number of frames of each activity."""
    if len(frames) != sum(ENDOVIS_COUNTS.values()):
        return
    counts = Counter(frame.activity for frame in frames)
    wrong = [name for name in ENDOVIS_COUNTS if counts[name] != ENDOVIS_COUNTS[name]]
    if wrong:
        shown = ", ".join(f"{name} {counts[name]} instead of {ENDOVIS_COUNTS[name]}" for name in wrong)
        raise InputError(
            f"{root}: folders 1 to 12 are read as {', '.join(ENCODINGS['released_mtlendovis'].activities)}, but these counts differ: "
            f"{shown}. The folders have another order; rename them."
        )


def missing_mask(frame: FrameReleased) -> str:
    """Return the message that a frame has no mask."""
    expected = frame.image.parents[1] / "mask" / f"{frame.image.stem}.png"
    return missing_file(expected, f"the mask of {frame.image}")


def class_mask(frame: FrameReleased, source: str) -> NDArray[np.uint8]:
    """Return the mask of a frame as class ids: uint8 (H, W).

    Raises:
        InputError: if there is no mask, or if a value does not belong to the encoding.
    """
    if frame.mask is None:
        raise InputError(missing_mask(frame))
    encoding = ENCODINGS[source]
    values = read_ids(frame.mask)
    classes = np.full(256, 255, np.uint8)
    classes[list(encoding.classes)] = list(encoding.classes.values())
    mask = classes[values]
    if (mask == 255).any():
        raise InputError(
            f"{frame.mask}: holds the value {values[mask == 255].min()}; expected {', '.join(map(str, encoding.classes))}."
        )
    return mask
