"""The pictures and masks that the command reads and writes: found, and written whole or not at all."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import cv2

from corruptions.errors import CorruptionError
from corruptions.pictures import SUFFIXES, Pixels, said
from corruptions.regular import open_regular
from corruptions.system_errors import named


@dataclass(frozen=True)
class Picture:
    """A picture file, and the id that its randomness and the names of its results come from: its path below the folder it was
    found in, with forward slashes and no suffix."""

    path: Path
    image_id: str


def find_pictures(folder: Path) -> list[Picture]:
    """The pictures below a folder, told by their suffix, sorted by id.

    Hidden files and folders and `__MACOSX` are passed over. Links are followed, each folder once.

    Raises:
        CorruptionError: if there is none, or if the results of two would get the same name.
    """
    found = []
    for inner, _, names in walk(folder):
        for name in names:
            path = inner / name
            if not name.startswith(".") and path.suffix.lower() in SUFFIXES:
                found.append(Picture(path, path.relative_to(folder).with_suffix("").as_posix()))
    if not found:
        raise CorruptionError(f"{folder}: no picture in this folder. Expected files that end in {', '.join(SUFFIXES)}.")
    # Not every file system tells A from a.
    count = Counter(picture.image_id.casefold() for picture in found)
    alike = [picture for picture in found if count[picture.image_id.casefold()] > 1]
    if alike:
        first, second = [p.path for p in alike if p.image_id.casefold() == alike[0].image_id.casefold()][:2]
        raise CorruptionError(
            f"{first} and {second}: their results would get the same name. Rename one, or give them apart."
        )
    return sorted(found, key=lambda picture: picture.image_id)


def walk(folder: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Every folder from one downwards with the names of its folders and files, sorted; as os.walk, names may be taken out.

    Links are followed, each folder once. Hidden folders (what an interrupted run left) and `__MACOSX` are passed over.
    """
    seen: set[str] = set()
    for name, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(name)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(inner for inner in folders if not inner.startswith(".") and inner != "__MACOSX")
        yield Path(name), folders, sorted(files)


def choose(pictures: Sequence[Picture], listing: Path, folder: Path) -> list[Picture]:
    """The pictures that a text file lists: ids or relative paths, one a line; empty lines and those that begin with # say nothing.

    Raises:
        CorruptionError: if the file cannot be read, or lists nothing, or what is not among the pictures.
    """
    try:
        with open_regular(listing) as stream:
            lines = stream.read().decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CorruptionError(f"{listing}: not a text that can be read ({said(error)}).") from None
    wanted = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    known = {name: picture for picture in pictures for name in _names(picture, folder)}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise CorruptionError(f"{listing}: {_some(unknown)}: no such picture below {folder}.")
    chosen = {known[name].image_id: known[name] for name in wanted}
    if not chosen:
        raise CorruptionError(f"{listing}: lists no picture. Expected one a line, as {pictures[0].image_id}.")
    return [chosen[image_id] for image_id in sorted(chosen)]


def _names(picture: Picture, folder: Path) -> tuple[str, str]:
    return picture.image_id, picture.path.relative_to(folder).as_posix()


def _some(names: Sequence[str], most: int = 3) -> str:
    """The first of many names."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def encode_png(pixels: Pixels) -> bytes:
    """uint8 (H, W) or RGB (H, W, 3) as the bytes of a PNG, the same for the same pixels."""
    stored = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    # Run lengths pack noise and gradients as well as the search for matches does, in half the time.
    done, encoded = cv2.imencode(".png", stored, [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE])
    if not done:
        raise CorruptionError(f"cannot be encoded as PNG (shape {pixels.shape}, type {pixels.dtype}).")
    return encoded.tobytes()


def write_whole(path: Path, content: bytes, unfinished: Path) -> None:
    """Write a file whole or not at all.

    Args:
        path: the file; folders above it are made. content: its bytes. unfinished: a folder on the same disk to write in first.
    """
    partial = unfinished / f"{os.getpid()}.partial"
    try:
        with named(path, partial):
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(content)
            partial.replace(path)
    finally:
        with suppress(OSError):  # what kept it from being written is what is said
            partial.unlink(missing_ok=True)
