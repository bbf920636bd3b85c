"""Read and write images and masks, with errors that name the file; `corruptions.pictures` defines how images are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2

from corruptions import pictures
from corruptions.errors import CorruptionError
from corruptions.pictures import Header, Pixels
from corruptions.regular import open_regular
from pipeline.errors import InputError

DATASET_FORMATS = ("PNG", "JPEG")


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except CorruptionError as error:
        raise InputError(f"{path}: {error}") from None


def read_header(path: Path) -> Header:
    """Return format and size of an image file without decoding it.

    Raises:
        InputError: if it is missing, not a PNG or JPEG, claims more than `MAX_PIXELS` pixels, or can be read neither as an image nor as a
            mask.
    """
    with _naming(path):
        header = pictures.read_header(path, DATASET_FORMATS)
        try:
            pictures.check_mask(header)
        except CorruptionError:
            pictures.check_image(header)
        return header


def read_rgb(path: Path, formats: Sequence[str] = DATASET_FORMATS) -> Pixels:
    """Read a picture as uint8 RGB (H, W, 3), rotated as its EXIF says.

    Raises:
        InputError: if the file is missing, truncated, or not a picture of 8 bits a channel in one of the formats.
    """
    with _naming(path):
        return pictures.read_image(path, formats)


def read_channels(path: Path) -> Pixels:
    """Read a mask with its values as stored: uint8 (H, W), or (H, W, 3) where it has colour; alpha is left out.

    Raises:
        InputError: if the file is missing, truncated, no PNG, or holds values that are not read right (see `corruptions.pictures`).
    """
    with _naming(path):
        return pictures.read_samples(path)


def read_ids(path: Path, strictly: bool = False) -> Pixels:
    """Read a mask of ids as uint8 (H, W).

    Args:
        path: the file. strictly: whether several channels must be the same; else the largest value counts, as in the challenges' masks.

    Raises:
        InputError: as `read_channels`, or if channels differ that must not.
    """
    if strictly:
        with _naming(path):
            return pictures.read_mask(path)
    values = read_channels(path)
    return values if values.ndim == 2 else values.max(axis=2)


def read_colours(path: Path) -> Pixels:
    """Read a colour label as uint8 RGB (H, W, 3), alpha left out and a palette applied.

    Raises:
        InputError: as `read_channels`, and if the picture is grey.
    """
    with _naming(path):
        return pictures.read_colours(path)


def check_same_size(image: Pixels, mask: Pixels, image_path: Path, mask_path: Path) -> None:
    """Raise InputError unless mask and image have the same height and width."""
    if image.shape[:2] != mask.shape[:2]:
        raise InputError(
            f"{mask_path}: the mask is {mask.shape[1]}x{mask.shape[0]} pixels, its image {image_path} is "
            f"{image.shape[1]}x{image.shape[0]}. Expected the same size."
        )


def plain_png(path: Path) -> bytes | None:
    """Return the bytes of a plain PNG of 8-bit RGB, which every reader decodes to the pixels of `read_rgb`; else None.

    Raises:
        InputError: as `read_header`.
    """
    header = read_header(path)
    if (header.format, header.mode, header.bits) != ("PNG", "RGB", 8):
        return None
    with open_regular(path) as stream:
        content = stream.read()
    # Every chunk that may change the pixels has one of these names. A file that holds one by chance is encoded again without harm.
    return None if b"eXIf" in content or b"xmp" in content or b"exif" in content else content


def write_png(path: Path, pixels: Pixels) -> None:
    """Write uint8 (H, W) or RGB (H, W, 3) as PNG; missing folders are created."""
    stored = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    done, encoded = cv2.imencode(".png", stored, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    if not done:
        raise InputError(f"{path}: cannot be encoded as PNG (shape {pixels.shape}, type {pixels.dtype}).")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded.tobytes())
