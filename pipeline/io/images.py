"""Read images and masks as `corruptions.pictures` defines it, with errors that name the file, and write PNG."""

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
def _errors_with_path(path: Path) -> Iterator[None]:
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
    with _errors_with_path(path):
        header = pictures.read_header(path, DATASET_FORMATS)
        try:
            pictures.check_mask(header)
        except CorruptionError:
            pictures.check_image(header)
        return header


def read_rgb(path: Path, formats: Sequence[str] = DATASET_FORMATS) -> Pixels:
    """Read an image as uint8 RGB (H, W, 3), rotated as its EXIF says.

    Raises:
        InputError: if the file is missing, truncated, or not an image of 8 bits per channel in one of the formats.
    """
    with _errors_with_path(path):
        return pictures.read_image(path, formats)


def read_channels(path: Path) -> Pixels:
    """Read a mask with its values as stored: uint8 (H, W), or (H, W, 3) if it has colour; alpha is left out.

    Raises:
        InputError: if the file is missing, truncated, not a PNG, or of a kind whose values would change (see `corruptions.pictures`).
    """
    with _errors_with_path(path):
        return pictures.read_samples(path)


def read_ids(path: Path, strictly: bool = False) -> Pixels:
    """Read a mask of ids as uint8 (H, W).

    Args:
        path: the file.
        strictly: whether all channels must be equal. If not, the largest value counts, as in the challenges' masks.

    Raises:
        InputError: as for `read_channels`, or if channels differ although `strictly` is true.
    """
    if strictly:
        with _errors_with_path(path):
            return pictures.read_mask(path)
    values = read_channels(path)
    return values if values.ndim == 2 else values.max(axis=2)


def read_colours(path: Path) -> Pixels:
    """Read a mask whose colours are classes as uint8 RGB (H, W, 3); a palette is applied, and alpha is left out.

    Raises:
        InputError: as for `read_channels`, and if the mask is grey.
    """
    with _errors_with_path(path):
        return pictures.read_colours(path)


def check_same_size(image: Pixels, mask: Pixels, image_path: Path, mask_path: Path) -> None:
    """Raise InputError unless mask and image have the same height and width."""
    if image.shape[:2] != mask.shape[:2]:
        raise InputError(
            f"{mask_path}: the mask is {mask.shape[1]}x{mask.shape[0]} pixels, its image {image_path} is "
            f"{image.shape[1]}x{image.shape[0]}. Expected the same size."
        )


def plain_png(path: Path) -> bytes | None:
    """Return the bytes of a PNG that every reader decodes to the pixels of `read_rgb` (8-bit RGB, no rotation); None for other files.

    Raises:
        InputError: as for `read_header`.
    """
    header = read_header(path)
    if (header.format, header.mode, header.bits) != ("PNG", "RGB", 8):
        return None
    with open_regular(path) as stream:
        content = stream.read()
    # Chunks that may rotate the image have these names. If a file holds such bytes by chance, the caller only encodes it again.
    return None if b"eXIf" in content or b"xmp" in content or b"exif" in content else content


def write_png(path: Path, pixels: Pixels) -> None:
    """Write uint8 (H, W) or RGB (H, W, 3) as PNG; missing folders are created."""
    stored = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    encoded_well, encoded = cv2.imencode(".png", stored, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    if not encoded_well:
        raise InputError(f"{path}: cannot be encoded as PNG (shape {pixels.shape}, type {pixels.dtype}).")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded.tobytes())
