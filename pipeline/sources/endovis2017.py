"""Reader of raw EndoVis 2017: training and test split, with either ground-truth layout, and the official crop.

    **/instrument_dataset_N/left_frames/frameNNN.png
    .../instrument_dataset_N/ground_truth/<Instrument>_labels/frameNNN.png          training split: parts, by instrument
    .../instrument_dataset_N/[gt/]{TypeSegmentation,PartsSegmentation}/frameNNN.png   test split, published apart
    .../<any>/left_frames + ground_truth_merged_parts/frameNNN.png                  parts of all instruments in one

Parts are coded 10 shaft, 20 wrist, 30 clasper, 40 other. The pictures are 1920x1080 with a dark border.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.io.images import read_ids
from pipeline.io.raw_trees import walk
from pipeline.sources.contacts import CONTACTS
from pipeline.sources.frame_files import VQLA_FOLDER, frame_files, jpeg_note, mask_files
from pipeline.sources.official_crop import crop_window

WHERE_TO_ASK = CONTACTS["endovis2017"]

# Type ids of the challenge, by what the irregular folder names contain. Order matters: the first match counts.
_TYPE_BY_FOLDER = (
    ("bipolar", 1),
    ("prograsp", 2),
    ("needle_driver", 3),
    ("vessel_sealer", 4),
    ("grasping_retractor", 5),
    ("scissors", 6),
    ("other", 7),
)
SHAFT, WRIST, CLASPER, OTHER = 10, 20, 30, 40

# The frames of the EndoVis-17-VQLA annotations.
ANNOTATED_FRAMES: dict[int, tuple[int, ...]] = {
    1: (15, 20, 35, 65, 70, 85, 90, 220),
    2: (155, 160, 165, 170, 180, 186, 190, 195),
    6: (40, 65, 75, 80, 83, 85, 87, *range(90, 131, 5), 156, 158),
    8: (195, 198, 200, 205, 210, 213, 215, 220, *range(225, 281, 5), 283, 285, 290, 295),
    9: (
        *range(0, 36, 5),
        *(45, 60, 65, 70),
        *range(85, 126, 5),
        *(135, 140, 145, 180, 185, 190, 215, 220),
        *range(230, 256, 5),
        *(275, 280, 285, 290),
    ),
}


@dataclass
class Frame2017:
    """One frame: sequence name, number, picture, and the files of its ground truth in whichever layout they came.

    by_instrument: masks of parts by type id, 0 for a folder whose instrument is unknown, which matters to types alone.
    """

    sequence: str
    number: int
    image: Path
    by_instrument: dict[int, list[Path]] = field(default_factory=dict)
    types: Path | None = None
    parts: Path | None = None

    @property
    def instrument_files(self) -> tuple[Path, ...]:
        """The masks of all instruments."""
        return tuple(path for paths in self.by_instrument.values() for path in paths)

    @property
    def type_files(self) -> tuple[Path, ...]:
        """The files that its types are read from."""
        return (self.types,) if self.types else self.instrument_files

    @property
    def part_files(self) -> tuple[Path, ...]:
        """The files that its parts are read from."""
        return (self.parts,) if self.parts else self.instrument_files


@dataclass(frozen=True)
class Tree2017:
    """A read tree: frames by (sequence name, number), masks that no frame belongs to, and notes on how it was read."""

    frames: dict[tuple[str, int], Frame2017]
    loose: tuple[Path, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)


def read_tree(root: Path) -> Tree2017:
    """List what a raw tree holds, without decoding a picture.

    Raises:
        InputError: if there is no left_frames folder, or a frame is there twice.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder. EndoVis 2017 is expected here; ask for it at {WHERE_TO_ASK}.")
    frames: dict[tuple[str, int], Frame2017] = {}
    truths: list[tuple[str, Path]] = []
    for path, folders, _ in walk(root):
        # The VQLA edition has a left_frames of its own, of smaller JPEGs.
        folders[:] = [folder for folder in folders if not VQLA_FOLDER.match(folder)]
        if path.name == "left_frames":
            # JPEGs of other names are copies, as a VQLA edition has them.
            for image in (p for p in frame_files(path) if p.suffix == ".png" or p.name.startswith("frame")):
                frame = Frame2017(path.parent.name, _frame_number(image), image)
                other = frames.setdefault((frame.sequence, frame.number), frame)
                if other is not frame:
                    raise InputError(f"{frame.image}: the same frame as {other.image}. Expected every part once.")
        elif path.name in _TRUTHS:
            owner = path.parent if path.parent.name != "gt" else path.parent.parent
            truths.append((owner.name, path))
        if path.name in ("left_frames", "right_frames", *_TRUTHS):
            folders[:] = []
    if not frames:
        raise InputError(
            f"{root}: no left_frames/frame*.png below it. Expected the folders of EndoVis 2017 "
            f"(instrument_dataset_1/left_frames/frame000.png); ask for them at {WHERE_TO_ASK}."
        )
    loose = [path for sequence, folder in sorted(truths) for path in _add_truth(frames, sequence, folder)]
    notes = jpeg_note((frame.image for frame in frames.values()), root)
    return Tree2017(dict(sorted(frames.items())), tuple(loose), notes)


_TRUTHS = ("ground_truth", "TypeSegmentation", "PartsSegmentation", "ground_truth_merged_parts")


def _add_truth(frames: dict[tuple[str, int], Frame2017], sequence: str, folder: Path) -> list[Path]:
    """Give the frames of a sequence the masks of a folder; those that belong to none are returned."""
    loose = []
    if folder.name == "ground_truth":
        labels = sorted(path for path in folder.iterdir() if path.is_dir())
        masks = [(path, _known_type(labels_of) or 0) for labels_of in labels for path in mask_files(labels_of)]
    else:
        masks = [(path, 0) for path in mask_files(folder)]
    for path, type_id in masks:
        frame = frames.get((sequence, _frame_number(path)))
        if frame is None:
            loose.append(path)
        elif folder.name == "ground_truth":
            frame.by_instrument.setdefault(type_id, []).append(path)
        elif folder.name == "TypeSegmentation":
            frame.types = path
        else:
            frame.parts = path
    return loose


def crop(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Cut a picture or mask (H, W[, C]) to the official window."""
    top, bottom, left, right = crop_window(*pixels.shape[:2])
    return pixels[top:bottom, left:right]


def check_typed(frame: Frame2017) -> None:
    """Raise InputError unless a frame has type ground truth whose types are known."""
    if frame.types is None and not frame.by_instrument:
        raise InputError(
            f"{frame.image}: no type ground truth (ground_truth/*_labels or TypeSegmentation) of it, as PNG. Ask for it at "
            f"{WHERE_TO_ASK}."
        )
    for path in frame.by_instrument.get(0, ()) if frame.types is None else ():
        names = ", ".join(part for part, _ in _TYPE_BY_FOLDER)
        raise InputError(
            f"{path.parent}: not the name of a known instrument; expected one that contains {names}. Rename or remove it."
        )


def type_mask(frame: Frame2017) -> NDArray[np.uint8]:
    """Instrument types of a frame, uncropped: uint8 (H, W) with the challenge's ids 1 to 7.

    Raises:
        InputError: if the frame has no type ground truth or a mask holds an unknown id.
    """
    if frame.types is not None:
        mask = read_ids(frame.types)
        if mask.max(initial=0) > 7:
            raise InputError(f"{frame.types}: value {mask.max()}; expected the type ids 0 to 7.")
        return mask
    check_typed(frame)
    types: NDArray[np.uint8] | None = None
    for type_id, paths in frame.by_instrument.items():
        for path in paths:
            parts = read_ids(path)
            types = np.zeros_like(parts) if types is None else types
            _check_shape(parts, types, path)
            types[parts > 0] = type_id
    assert types is not None, "a frame with instruments has a mask of one"
    return types


def _check_shape(mask: NDArray[np.uint8], other: NDArray[np.uint8], path: Path) -> None:
    if mask.shape != other.shape:
        raise InputError(f"{path}: {mask.shape[1]}x{mask.shape[0]} pixels, the frame's other masks differ.")


def parts_mask(frame: Frame2017) -> NDArray[np.uint8]:
    """Instrument parts of a frame, uncropped: uint8 (H, W) with values 0, 10, 20, 30 (40, other, becomes 0).

    Raises:
        InputError: if the frame has no parts ground truth or a mask holds another value.
    """
    paths = frame.part_files
    if not paths:
        raise InputError(
            f"{frame.image}: no parts ground truth beside it (ground_truth/*_labels, PartsSegmentation or "
            "ground_truth_merged_parts)."
        )
    merged: NDArray[np.uint8] | None = None
    for path in paths:
        mask = read_ids(path)
        unknown = set(np.flatnonzero(np.bincount(mask.ravel())).tolist()) - {0, SHAFT, WRIST, CLASPER, OTHER}
        if unknown:
            raise InputError(f"{path}: value {min(unknown)}; expected 0, 10 shaft, 20 wrist, 30 clasper or 40 other.")
        mask = np.where(mask == OTHER, np.uint8(0), mask)
        merged = mask if merged is None else merged
        _check_shape(mask, merged, path)
        merged = np.maximum(merged, mask)
    assert merged is not None, "there is at least one path"
    return merged


def _frame_number(path: Path) -> int:
    digits = re.search(r"(\d{1,6})$", path.stem)
    if digits is None:
        raise InputError(f"{path}: expected a name like frame000.png.")
    return int(digits[1])


def _known_type(folder: Path) -> int | None:
    name = folder.name.lower().replace(" ", "_")
    return next((type_id for part, type_id in _TYPE_BY_FOLDER if part in name), None)
