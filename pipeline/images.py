"""Reading and writing pictures and masks, with errors that name the file and what was expected."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import InputError

Pixels = NDArray[np.uint8]

# Endoscopes give 2 to 9 million pixels, 8K has 33. The bounds keep a file that claims or holds more from filling the memory.
MAX_PIXELS = 36_000_000
MAX_BYTES = 256 << 20
_FORMATS = ("PNG", "JPEG")


@dataclass(frozen=True)
class Header:
    """What a picture's first bytes say: format (PNG or JPEG), mode as Pillow names it (RGB, L, ...), and size in pixels."""

    format: str
    mode: str
    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height} {self.mode} {self.format}"


def read_header(path: Path) -> Header:
    """Read format, mode and size of a picture without decoding it.

    Raises:
        InputError: if the file is missing, not a PNG or JPEG, or claims more than `MAX_PIXELS` pixels.
    """
    with _open(path) as picture:
        return Header(str(picture.format), picture.mode, picture.width, picture.height)


def _open(path: Path) -> Image.Image:
    try:
        size = path.stat().st_size
    except OSError:
        raise InputError(f"{path}: this picture is missing.") from None
    if size > MAX_BYTES:
        raise InputError(f"{path}: {size:,} bytes; expected a picture of at most {MAX_BYTES:,}.")
    try:
        picture = Image.open(path, formats=_FORMATS)
    except Exception as error:  # whatever a decoder trips over, it is the file that is wrong
        raise _unreadable(path, error) from None
    if picture.width * picture.height > MAX_PIXELS:
        picture.close()
        raise InputError(
            f"{path}: claims {picture.width}x{picture.height} pixels; expected at most {MAX_PIXELS:,} in all."
        )
    return picture


def _decode(path: Path) -> Image.Image:
    picture = _open(path)
    try:
        picture.load()
    except Exception as error:  # as above
        raise _unreadable(path, error) from None
    return picture


def _unreadable(path: Path, error: Exception) -> InputError:
    said = str(error) or type(error).__name__
    return InputError(
        f"{path}: not a readable picture ({said}). Expected a complete PNG or JPEG; copy or extract the file again."
    )


def read_rgb(path: Path) -> Pixels:
    """Read a picture as uint8 RGB (H, W, 3).

    Raises:
        InputError: if the file is missing, truncated or not a picture of 8 bits a channel.
    """
    picture = _decode(path)
    if picture.mode not in ("RGB", "RGBA", "L", "P"):
        raise InputError(f"{path}: mode {picture.mode}; expected 8-bit RGB, RGBA, grey or palette.")
    return np.asarray(picture.convert("RGB"))


def read_channels(path: Path) -> Pixels:
    """Read a label picture with its channels as stored: uint8 (H, W) or (H, W, C).

    Raises:
        InputError: if the file is missing, truncated or not a picture of 8 bits a channel.
    """
    picture = _decode(path)
    if picture.mode not in ("RGB", "RGBA", "L", "P", "1"):
        raise InputError(f"{path}: mode {picture.mode}; expected 8 bits a channel.")
    if picture.mode == "1":
        picture = picture.convert("L")
    return np.asarray(picture)


def read_ids(path: Path) -> Pixels:
    """Read a mask of ids as uint8 (H, W); of several channels the largest value counts (alpha is ignored).

    Raises:
        InputError: as `read_channels`.
    """
    values = read_channels(path)
    return values if values.ndim == 2 else values[..., :3].max(axis=2)


def read_colours(path: Path) -> Pixels:
    """Read a colour label as uint8 RGB (H, W, 3), alpha left out and a palette applied.

    Raises:
        InputError: as `read_channels`, and if the picture is grey.
    """
    picture = _decode(path)
    if picture.mode not in ("RGB", "RGBA", "P"):
        raise InputError(f"{path}: mode {picture.mode}; expected official colour labels (RGB or RGBA).")
    return np.asarray(picture.convert("RGB") if picture.mode == "P" else picture)[..., :3]


def check_same_size(image: Pixels, mask: Pixels, image_path: Path, mask_path: Path) -> None:
    """Raise InputError unless mask and image have the same height and width."""
    if image.shape[:2] != mask.shape[:2]:
        raise InputError(
            f"{mask_path}: the mask is {mask.shape[1]}x{mask.shape[0]} pixels, its image {image_path} is "
            f"{image.shape[1]}x{image.shape[0]}. Expected the same size."
        )


def write_png(path: Path, pixels: Pixels) -> None:
    """Write uint8 (H, W) or RGB (H, W, 3) as PNG."""
    stored = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    done, encoded = cv2.imencode(".png", stored, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    if not done:
        raise InputError(f"{path}: cannot be encoded as PNG (shape {pixels.shape}, type {pixels.dtype}).")
    path.write_bytes(encoded.tobytes())


def resize_image(image: Pixels, size: int) -> Pixels:
    """Resize RGB to (size, size); by pixel areas where it shrinks."""
    shrinks = image.shape[0] > size and image.shape[1] > size
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def resize_mask(mask: Pixels, size: int) -> Pixels:
    """Resize a mask of ids to (size, size) by its nearest pixels."""
    return cv2.resize(mask, (size, size), interpolation=cv2.INTER_NEAREST_EXACT)
