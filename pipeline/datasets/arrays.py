"""Packs the images and masks of each split into two arrays at one input size: images are decoded once, and training maps them into memory.

The files are <dataset>/arrays/<size>/<split>-<digest>/{images,masks}.npy. The digest depends on the manifest and on the code that packs
the arrays, so an outdated array is never used.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence, Set
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from corruptions.pictures import resize_image, resize_mask
from corruptions.regular import check_regular
from corruptions.system_errors import named
from endoarss.labels import IGNORED
from pipeline.datasets.card import read_card
from pipeline.errors import InputError
from pipeline.io.files import whole_folder
from pipeline.io.hashing import digest, sha256_of
from pipeline.io.images import check_same_size, read_ids, read_rgb
from pipeline.io.import_closure import code_sha256, import_closure
from pipeline.io.processes import ordered_map

Row = dict[str, str]


def packed_arrays(
    folder: Path, rows: Sequence[Row], split: str, size: int, workers: int = 1
) -> tuple[NDArray, NDArray]:
    """Return the images (N, S, S, 3) and masks (N, S, S) of a split, uint8, mapped into memory; pack them first if necessary.

    Args:
        folder: the built dataset.
        rows: the N rows of its manifest that belong to the split.
        split: train or test.
        size: side length S in pixels.
        workers: number of processes that pack.

    Raises:
        InputError: if a frame cannot be read, its mask holds a value that is not a class, or a packed array is damaged.
    """
    arrays = arrays_folder(folder, split, size)
    if not arrays.is_dir():
        _pack(arrays, folder, rows, size, workers, f"pack {folder.name} {split}")
    images = _open(arrays / "images.npy", (len(rows), size, size, 3))
    masks = _open(arrays / "masks.npy", (len(rows), size, size))
    return images, masks


def _open(path: Path, shape: tuple[int, ...]) -> NDArray:
    """Map an array of pixels into memory. Refuse files that are not .npy, and arrays of Python objects."""
    remedy = f"Delete the folder {path.parent}; the next run makes it again."
    try:
        check_regular(path)
        # Copy on write: the file never changes, and torch gets the writable array that it asks for.
        array = np.lib.format.open_memmap(path, "c")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not an array of pixels ({error}). {remedy}") from None
    if array.dtype != np.uint8 or array.shape != shape:
        raise InputError(f"{path}: the array is {array.dtype} of shape {array.shape}; expected uint8 {shape}. {remedy}")
    return array


def arrays_folder(folder: Path, split: str, size: int) -> Path:
    """Return the folder of a split's arrays; it depends on the size, the manifest and the code that packs them."""
    decided_by = {"manifest": sha256_of(folder / "manifest.csv"), "code": code_sha256(import_closure(__name__))}
    return folder / "arrays" / str(size) / f"{split}-{digest(decided_by)[:16]}"


def delete_outdated_arrays(folder: Path, splits: Sequence[str], size: int) -> None:
    """Delete the arrays of a size that belong to another manifest or another version of the code."""
    current = {arrays_folder(folder, split, size).name for split in splits}
    for path in (folder / "arrays" / str(size)).iterdir():
        if path.name not in current and not path.name.startswith("."):
            shutil.rmtree(path)


def array_digests(folder: Path, split: str, size: int) -> dict[str, str]:
    """Return the SHA-256 of a split's two files, by their path below arrays/.

    Raises:
        FileNotFoundError: if the arrays are not packed.
    """
    arrays = arrays_folder(folder, split, size)
    files = [arrays / f"{name}.npy" for name in ("images", "masks")]
    return {path.relative_to(folder / "arrays").as_posix(): sha256_of(path) for path in files}


def _pack(arrays: Path, folder: Path, rows: Sequence[Row], size: int, workers: int, label: str) -> None:
    """Write the two files of a split in several processes. Their folder appears complete or not at all."""
    with whole_folder(arrays) as partial_folder:
        shapes = {"images": (len(rows), size, size, 3), "masks": (len(rows), size, size)}
        for name, shape in shapes.items():
            np.lib.format.open_memmap(partial_folder / f"{name}.npy", "w+", np.uint8, shape).flush()
        card = read_card(folder)
        valid_values = {*range(len(card["classes"])), *([IGNORED] if card.get("ignored_pixels") else [])}
        work = partial(_pack_frame, partial_folder, folder, size, valid_values)
        for _ in ordered_map(work, list(enumerate(rows, -len(rows))), workers, label):
            pass


def _pack_frame(arrays: Path, folder: Path, size: int, valid_values: Set[int], item: tuple[int, Row]) -> None:
    """Write the image and the mask of one frame to their places in the two files.

    The index in `item` counts from the end (-1 is the last frame), so the length of a file's header does not matter. A stream writes the
    pixels, because a process that writes to a memory map on a full disk ends without a message.
    """
    index, row = item
    image, mask = read_rgb(folder / row["image"]), read_ids(folder / row["mask"])
    check_same_size(image, mask, folder / row["image"], folder / row["mask"])
    unknown = set(np.flatnonzero(np.bincount(mask.ravel())).tolist()) - valid_values
    if unknown:
        raise InputError(
            f"{folder / row['mask']}: holds the value {max(unknown)}; expected 0 to {max(valid_values - {IGNORED})}."
        )
    for name, pixels in (("images", resize_image(image, size)), ("masks", resize_mask(mask, size))):
        with named(arrays / f"{name}.npy"), (arrays / f"{name}.npy").open("r+b") as stream:
            stream.seek(index * pixels.nbytes, os.SEEK_END)
            stream.write(pixels.tobytes())
