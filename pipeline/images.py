"""Reading and writing pictures and masks, with errors that name the file and what was expected."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from pipeline.errors import InputError

Pixels = NDArray[np.uint8]


def _decode(path: Path) -> Image.Image:
    try:
        picture = Image.open(path)
        picture.load()
    except FileNotFoundError:
        raise InputError(f"{path}: this picture is missing.") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(
            f"{path}: not a readable picture ({error}). Expected a complete PNG or JPEG; copy or extract the file again."
        ) from None
    return picture


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
