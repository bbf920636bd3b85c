"""Finds the mask and the sequence of each image from the names of files and folders."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from corruptions.pictures import SUFFIXES
from pipeline.errors import InputError
from pipeline.io.raw_trees import walk

# File endings of images. Unusable images are included, so that messages can name them.
_SUFFIXES = (*SUFFIXES, ".gif")
# Words that describe the kind of a file and not the frame: frame001.jpg and frame001_mask.png, images/ and masks/.
_IMAGE_WORDS = frozenset(("image", "images", "img", "imgs", "frame", "frames", "rgb", "raw"))
_MASK_WORDS = frozenset(
    ("mask", "masks", "label", "labels", "seg", "segmentation", "annotation", "annotations", "gt", "groundtruth")
)
_WORD = re.compile(r"[^ _.-]+")
# The text before the last number, if a separator is between them: case1_0001, seq_2_frame042, video01_000005_frame.
_SEQUENCE = re.compile(r"(.*[^ _.-])[ _.-]+[^\W\d_]*\d+(?:[ _.-][^\W\d_]+)?", re.ASCII)


def pair_frames(images: Path, masks: Path) -> dict[str, Path | None]:
    """Find all images and the mask of each, in folders of any depth.

    A mask has its image's name with any ending, or that name with a word such as `_mask` before or after it. If images and masks are
    both in several folders, the folders must match; words such as images/ and masks/ do not count. `images` and `masks` may be the same
    folder if such a word marks the masks.

    Args:
        images: folder of the images.
        masks: folder of the masks.

    Returns:
        The mask of each image, or None, by the image's path below `images` (with slashes), sorted.

    Raises:
        InputError: if two images differ only in their ending, if an image has two masks, or if two images have the same mask; the
            message names the files.
    """
    one_folder = os.path.realpath(images) == os.path.realpath(masks)
    image_paths = [path for path in _pictures(images, masks) if not (one_folder and _is_mask(path))]
    mask_paths = [path for path in _pictures(masks, images) if not one_folder or _is_mask(path)]
    ignore_folders = min(len({_folder(path) for path in side}) for side in (image_paths, mask_paths)) <= 1

    def key(path: PurePosixPath, name: str) -> tuple[str, str]:
        return ("" if ignore_folders else _folder(path), name)

    exact: dict[tuple[str, str], list[PurePosixPath]] = {}
    without_word: dict[tuple[str, str], list[PurePosixPath]] = {}
    for path in mask_paths:
        exact.setdefault(key(path, path.stem), []).append(path)
        without_word.setdefault(key(path, _remove_word(path.stem, _MASK_WORDS)), []).append(path)
    mask_of_image: dict[str, Path | None] = {}
    image_of_stem: dict[PurePosixPath, PurePosixPath] = {}
    image_of_mask: dict[PurePosixPath, PurePosixPath] = {}
    for path in image_paths:
        if (other := image_of_stem.setdefault(path.with_suffix(""), path)) != path:
            raise InputError(
                f"{images / path}: {other.name!r} in the same folder has the same name; expected names that differ before the ending."
            )
        names = (path.stem, _remove_word(path.stem, _IMAGE_WORDS))
        candidates = (table.get(key(path, name)) for name in names for table in (exact, without_word))
        mask = _only_mask(images / path, masks, next(filter(None, candidates), []))
        if mask is not None and (other := image_of_mask.setdefault(mask, path)) != path:
            raise InputError(
                f"{masks / mask}: matches {images / other} and {images / path}; expected one image per mask. Put the masks into the same "
                "folders as the images."
            )
        mask_of_image[path.as_posix()] = masks / mask if mask is not None else None
    return mask_of_image


def sequences_of(names: Iterable[str]) -> dict[str, str]:
    """Return the sequence of each image, derived from the names.

    The sequence is the image's folder, or the part of its name before the last number: case1_0001.png belongs to case1.

    Args:
        names: paths below the folder of the images, with slashes.

    Returns:
        The sequence by name. All sequences are "" if a name has no sequence, if there is only one sequence, or if the sequences have fewer
        than two images on average.
    """
    sequence_of = {name: _folder(PurePosixPath(name)) or _sequence(PurePosixPath(name).stem) for name in names}
    several = 2 <= len(set(sequence_of.values())) <= len(sequence_of) / 2
    return sequence_of if several and all(sequence_of.values()) else dict.fromkeys(sequence_of, "")


def _sequence(stem: str) -> str:
    match = _SEQUENCE.fullmatch(stem)
    return match[1] if match else ""


def _pictures(folder: Path, other: Path) -> list[PurePosixPath]:
    """Return the images below a folder, without those in the folder `other`."""
    excluded = os.path.realpath(other)
    found = []
    for inside, folders, names in walk(folder):
        folders[:] = [name for name in folders if os.path.realpath(inside / name) != excluded]
        found += [
            PurePosixPath((inside / name).relative_to(folder).as_posix())
            for name in names
            if not name.startswith(".") and name.lower().endswith(_SUFFIXES)
        ]
    return sorted(found)


def _is_mask(path: PurePosixPath) -> bool:
    words = _WORD.findall(path.stem.lower())
    return not _MASK_WORDS.isdisjoint((*words[:1], *words[-1:], *map(str.lower, path.parent.parts)))


def _folder(path: PurePosixPath) -> str:
    """Return the folders of a path, without those that only mean images or masks."""
    return "/".join(part for part in path.parent.parts if part.lower() not in _IMAGE_WORDS | _MASK_WORDS)


def _remove_word(stem: str, words: frozenset[str]) -> str:
    """Return a name without one of the words at its end or start."""
    places = list(_WORD.finditer(stem))
    if len(places) > 1 and places[-1][0].lower() in words:
        return stem[: places[-2].end()]
    if len(places) > 1 and places[0][0].lower() in words:
        return stem[places[1].start() :]
    return stem


def _only_mask(image: Path, masks: Path, candidates: Sequence[PurePosixPath]) -> PurePosixPath | None:
    """Return the only mask of an image. If candidates differ only in their ending, return the PNG."""
    if len({path.with_suffix("") for path in candidates}) > 1:
        raise InputError(
            f"{image}: has two masks, {masks / candidates[0]} and {masks / candidates[1]}; expected one. Remove one of them, or put each "
            "kind of mask into a separate folder."
        )
    return min(candidates, key=lambda path: path.suffix.lower() != ".png", default=None)
