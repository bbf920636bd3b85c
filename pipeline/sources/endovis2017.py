"""Reads raw EndoVis 2017: training and test split, both ground-truth layouts, and the official crop.

    **/instrument_dataset_N/left_frames/frameNNN.png
    .../instrument_dataset_N/ground_truth/<Instrument>_labels/frameNNN.png          training split: parts, by instrument
    .../instrument_dataset_N/[gt/]{TypeSegmentation,PartsSegmentation}/frameNNN.png   test split, a separate download
    .../<any>/left_frames + ground_truth_merged_parts/frameNNN.png                  parts of all instruments in one mask

Parts are coded as 10 shaft, 20 wrist, 30 clasper and 40 other. The images are 1920x1080 with a dark border.
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

# Type ids of the challenge by a word in the folder names, which are irregular. The first word that matches is used.
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

# The frames that EndoVis-17-VQLA annotates.
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
    """One frame with the files of its ground truth, in any of the layouts.

    Attributes:
        by_instrument: masks of single instruments by type id. Masks of unknown instruments have the id 0 and are used for parts only.
        types: mask of the types of all instruments.
        parts: mask of the parts of all instruments.
    """

    sequence: str
    number: int
    image: Path
    by_instrument: dict[int, list[Path]] = field(default_factory=dict)
    types: Path | None = None
    parts: Path | None = None

    @property
    def instrument_files(self) -> tuple[Path, ...]:
        """Masks of the single instruments."""
        return tuple(path for paths in self.by_instrument.values() for path in paths)

    @property
    def type_files(self) -> tuple[Path, ...]:
        """Files that the types are read from."""
        return (self.types,) if self.types else self.instrument_files

    @property
    def part_files(self) -> tuple[Path, ...]:
        """Files that the parts are read from."""
        return (self.parts,) if self.parts else self.instrument_files


@dataclass(frozen=True)
class Tree2017:
    """The content of a raw tree.

    Attributes:
        frames: frames by (sequence name, number).
        unmatched: masks without a frame.
        notes: notes for the user on how the tree was read, by keyword.
    """

    frames: dict[tuple[str, int], Frame2017]
    unmatched: tuple[Path, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)


def read_tree(root: Path) -> Tree2017:
    """List the content of a raw tree without decoding images.

    Raises:
        InputError: if there is no left_frames folder, or if a frame occurs twice.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder. EndoVis 2017 is expected here; it is available from {WHERE_TO_ASK}.")
    frames: dict[tuple[str, int], Frame2017] = {}
    truth_folders: list[tuple[str, Path]] = []
    for path, folders, _ in walk(root):
        # The VQLA edition has its own left_frames with smaller JPEGs.
        folders[:] = [folder for folder in folders if not VQLA_FOLDER.match(folder)]
        if path.name == "left_frames":
            # JPEGs with other names are copies from a VQLA edition.
            for image in (p for p in frame_files(path) if p.suffix == ".png" or p.name.startswith("frame")):
                frame = Frame2017(path.parent.name, _frame_number(image), image)
                other = frames.setdefault((frame.sequence, frame.number), frame)
                if other is not frame:
                    raise InputError(
                        f"{frame.image}: is the same frame as {other.image}. Expected every download once."
                    )
        elif path.name in _TRUTH_FOLDERS:
            owner = path.parent if path.parent.name != "gt" else path.parent.parent
            truth_folders.append((owner.name, path))
        if path.name in ("left_frames", "right_frames", *_TRUTH_FOLDERS):
            folders[:] = []
    if not frames:
        raise InputError(
            f"{root}: contains no left_frames/frame*.png. Expected the folders of EndoVis 2017 "
            f"(instrument_dataset_1/left_frames/frame000.png); they are available from {WHERE_TO_ASK}."
        )
    unmatched = [path for sequence, folder in sorted(truth_folders) for path in _add_masks(frames, sequence, folder)]
    notes = jpeg_note((frame.image for frame in frames.values()), root)
    return Tree2017(dict(sorted(frames.items())), tuple(unmatched), notes)


_TRUTH_FOLDERS = ("ground_truth", "TypeSegmentation", "PartsSegmentation", "ground_truth_merged_parts")


def _add_masks(frames: dict[tuple[str, int], Frame2017], sequence: str, folder: Path) -> list[Path]:
    """Add the masks of a folder to the frames of a sequence, and return the masks without a frame."""
    unmatched = []
    if folder.name == "ground_truth":
        labels = sorted(path for path in folder.iterdir() if path.is_dir())
        masks = [(path, _known_type(labels_of) or 0) for labels_of in labels for path in mask_files(labels_of)]
    else:
        masks = [(path, 0) for path in mask_files(folder)]
    for path, type_id in masks:
        frame = frames.get((sequence, _frame_number(path)))
        if frame is None:
            unmatched.append(path)
        elif folder.name == "ground_truth":
            frame.by_instrument.setdefault(type_id, []).append(path)
        elif folder.name == "TypeSegmentation":
            frame.types = path
        else:
            frame.parts = path
    return unmatched


def crop(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Crop an image or mask (H, W[, C]) to the official window."""
    top, bottom, left, right = crop_window(*pixels.shape[:2])
    return pixels[top:bottom, left:right]


def check_typed(frame: Frame2017) -> None:
    """Raise InputError if a frame has no type ground truth, or has a type that is not known."""
    if frame.types is None and not frame.by_instrument:
        raise InputError(
            f"{frame.image}: the frame has no type ground truth (PNG in ground_truth/*_labels or TypeSegmentation). It is available from "
            f"{WHERE_TO_ASK}."
        )
    for path in frame.by_instrument.get(0, ()) if frame.types is None else ():
        names = ", ".join(word for word, _ in _TYPE_BY_FOLDER)
        raise InputError(
            f"{path.parent}: the folder's name contains no known instrument; expected one of {names}. Rename or remove the folder."
        )


def type_mask(frame: Frame2017) -> NDArray[np.uint8]:
    """Return the instrument types of a frame, uncropped: uint8 (H, W) with the challenge's ids 1 to 7.

    Raises:
        InputError: if the frame has no type ground truth, or if a mask holds an unknown id.
    """
    if frame.types is not None:
        mask = read_ids(frame.types)
        if mask.max(initial=0) > 7:
            raise InputError(f"{frame.types}: holds the value {mask.max()}; expected the type ids 0 to 7.")
        return mask
    check_typed(frame)
    types: NDArray[np.uint8] | None = None
    for type_id, paths in frame.by_instrument.items():
        for path in paths:
            parts = read_ids(path)
            types = np.zeros_like(parts) if types is None else types
            _check_shape(parts, types, path)
            types[parts > 0] = type_id
    assert types is not None, "a frame with instruments has at least one mask"
    return types


def _check_shape(mask: NDArray[np.uint8], other: NDArray[np.uint8], path: Path) -> None:
    if mask.shape != other.shape:
        raise InputError(
            f"{path}: the mask has {mask.shape[1]}x{mask.shape[0]} pixels; expected the size of the frame's other masks, "
            f"{other.shape[1]}x{other.shape[0]}."
        )


def parts_mask(frame: Frame2017) -> NDArray[np.uint8]:
    """Return the instrument parts of a frame, uncropped: uint8 (H, W) with values 0, 10, 20, 30 (40, other, becomes 0).

    Raises:
        InputError: if the frame has no parts ground truth, or if a mask holds another value.
    """
    paths = frame.part_files
    if not paths:
        raise InputError(
            f"{frame.image}: the frame has no parts ground truth (ground_truth/*_labels, PartsSegmentation or "
            "ground_truth_merged_parts)."
        )
    merged: NDArray[np.uint8] | None = None
    for path in paths:
        mask = read_ids(path)
        unknown = set(np.flatnonzero(np.bincount(mask.ravel())).tolist()) - {0, SHAFT, WRIST, CLASPER, OTHER}
        if unknown:
            raise InputError(
                f"{path}: holds the value {min(unknown)}; expected 0, 10 shaft, 20 wrist, 30 clasper or 40 other."
            )
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
    return next((type_id for word, type_id in _TYPE_BY_FOLDER if word in name), None)
