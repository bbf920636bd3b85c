"""Reads images and masks for the command `corruptions` and for the pipeline; a file is read correctly or refused.

The format is recognised by the file's bytes, not by its suffix. Libraries silently return the upper 8 bits of 16-bit channels, stretch
grey of fewer bits to 0..255, and return the first of several images. Here such a file is read correctly, or refused with a description.

- Images are RGB with 8 bits per channel. Grey and palette images become RGB, alpha is dropped. The EXIF orientation is applied, because
  viewers and annotation tools show the image in this orientation.
- Masks are PNGs whose samples are ids, exactly as stored: the values of one channel (1, 2, 4, 8 or 16 bits, none above 255), or the
  indices of a palette. Alpha is dropped. The channels of an RGB mask must be equal. A mask has no orientation.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from corruptions.errors import CorruptionError
from corruptions.regular import open_regular

Pixels = NDArray[np.uint8]

# Endoscopes give 2 to 9 million pixels, 8K has 33 million. A file that claims or holds more could fill the memory.
MAX_PIXELS = 36_000_000
MAX_BYTES = 256 << 20
_MAX_SCANS = 100
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")

_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_MODES = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}  # by the colour type in the header
_TIFF_BITS, _EXIF_ORIENTATION = 258, 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_KINDS = {
    "1": "black and white",
    "L": "grey",
    "LA": "grey with alpha",
    "P": "palette",
    "RGB": "RGB",
    "RGBA": "RGB with alpha",
    "CMYK": "CMYK",
    "I": "grey",
    "I;16": "grey",
    "I;16B": "grey",
    "F": "floating point",
}
_CONTENTS = {
    _PNG_START: "a damaged PNG",
    b"\xff\xd8\xff": "a JPEG that is damaged, or has more than 8 bits per channel",
    b"GIF8": "a GIF",
    b"BM": "a BMP",
    b"II*\0": "a TIFF",
    b"MM\0*": "a TIFF",
    b"RIFF": "a WebP or another RIFF file",
    b"\0\0\0\x0cjP  ": "a JPEG 2000",
    b"PK\3\4": "a .zip archive",
    b"<": "a web page or other text",
}


@dataclass(frozen=True)
class Header:
    """The header of an image file.

    Attributes:
        format: PNG, JPEG, BMP, TIFF or WEBP.
        mode: the channels as Pillow names them (RGB, L, P, ...), whatever their depth.
        bits: stored bits per channel, or per index of a palette.
        width: in pixels, after the orientation is applied.
        height: in pixels, after the orientation is applied.
        orientation: 1 to 8 as in EXIF; 1 is upright.
    """

    format: str
    mode: str
    bits: int
    width: int
    height: int
    orientation: int = 1

    @property
    def kind(self) -> str:
        """Return the channels and their depth in words."""
        kind = _KINDS.get(self.mode, f"mode {self.mode}")
        usual = self.bits == 8 or self.mode in ("1", "P")
        return kind if usual else f"{kind} of {self.bits} bit{'s' * (self.bits > 1)} per channel"

    def __str__(self) -> str:
        return f"{self.width}x{self.height} {self.mode} {self.format}" + (f" of {self.bits} bits" * (self.bits != 8))


def read_header(path: Path, formats: Sequence[str] = FORMATS) -> Header:
    """Return the header of an image file, without decoding the pixels. An orientation that a PNG stores after its pixels is not found.

    Errors of this module do not contain the file's name; the caller adds it.

    Raises:
        CorruptionError: if the file is missing, is not a regular file, is not an image of these formats, is too large, or holds several
            images.
    """
    with _opened(path, formats) as (_, header):
        return header


def check_image(header: Header) -> None:
    """Raise CorruptionError unless a file with this header can be read as an image."""
    if header.bits > 8 or header.mode not in ("1", "L", "LA", "P", "RGB", "RGBA"):
        scaled = ", with its values scaled to 0..255" if header.bits > 8 else ""
        raise CorruptionError(
            f"{header.kind}; expected RGB, grey or a palette with 8 bits per channel. Convert it first{scaled}."
        )


def check_mask(header: Header) -> None:
    """Raise CorruptionError unless a file with this header can be read as a mask. Only reading its pixels finds values above 255."""
    expected = "expected a mask of ids in a PNG: grey of at most 8 bits, or a palette"
    if header.format != "PNG":
        lossy = " JPEG changes values, so save the mask again from its source." if header.format == "JPEG" else ""
        raise CorruptionError(f"a {header.format}; {expected}.{lossy}")
    if header.bits > 8 and header.mode != "L":
        raise CorruptionError(f"{header.kind}; {expected}. Convert it.")
    if header.orientation != 1:
        raise CorruptionError(
            f"its EXIF orientation is {header.orientation}; expected a mask that is stored upright. Save it upright, without EXIF."
        )


def check_colours(header: Header) -> None:
    """Raise CorruptionError unless a file with this header can be read as a label in colours."""
    if header.bits > 8 or header.mode not in ("P", "RGB", "RGBA"):
        raise CorruptionError(f"{header.kind}; expected a label in colours: RGB with 8 bits per channel, or a palette.")
    check_mask(header)


def read_image(path: Path, formats: Sequence[str] = FORMATS) -> Pixels:
    """Return an image as uint8 RGB (H, W, 3), turned as its EXIF orientation says.

    Raises:
        CorruptionError: as `read_header` and `check_image`, or if the file is incomplete.
    """
    with _opened(path, formats) as (picture, header):
        check_image(header)
        picture.load()
        orientation = _orientation(picture)  # after load(), which reads the file to its end
        coloured = picture if picture.mode == "RGB" else picture.convert("RGB")
        return np.asarray(coloured if orientation == 1 else coloured.transpose(_TURNS[orientation]))


def read_samples(path: Path) -> Pixels:
    """Return a mask's samples as stored: uint8 (H, W), or (H, W, 3) if it has colour; alpha is dropped.

    Raises:
        CorruptionError: as `read_header` and `check_mask`, if the file is incomplete, or if a value is above 255.
    """
    picture, header = _decoded(path, check_mask)
    samples = np.asarray(picture)
    if header.mode == "LA":
        return samples[..., 0]
    if samples.ndim == 3:
        return samples[..., :3]
    if header.bits == 16:
        if samples.max(initial=0) > 255:
            raise CorruptionError(f"value {samples.max()} in {header.kind}; expected ids of at most 255.")
        return samples.astype(np.uint8)
    if header.mode == "L" and header.bits < 8:
        # Pillow has stretched the values to 0..255.
        return samples.astype(np.uint8) if header.bits == 1 else samples // (255 // (2**header.bits - 1))
    return samples


def read_colours(path: Path) -> Pixels:
    """Return a label in colours as uint8 RGB (H, W, 3); a palette is applied, alpha is dropped.

    Raises:
        CorruptionError: as `read_header` and `check_colours`, or if the file is incomplete.
    """
    picture, _ = _decoded(path, check_colours)
    return np.asarray(picture.convert("RGB") if picture.mode == "P" else picture)[..., :3]


def read_mask(path: Path) -> Pixels:
    """Return a mask of ids as uint8 (H, W).

    Raises:
        CorruptionError: as `read_samples`, or if its channels differ, because then it holds colours, not ids.
    """
    samples = read_samples(path)
    if samples.ndim == 2:
        return samples
    first = samples[..., 0]
    for channel in (1, 2):
        if not np.array_equal(first, samples[..., channel]):
            row, column = np.argwhere(first != samples[..., channel])[0]
            raise CorruptionError(
                f"the colour {tuple(samples[row, column].tolist())} at row {row}, column {column}; expected a mask of ids, "
                "equal in all channels."
            )
    return np.ascontiguousarray(first)


def _decoded(path: Path, check: Callable[[Header], None]) -> tuple[ImageFile, Header]:
    """Return an image that is decoded and checked, and its header."""
    with _opened(path, FORMATS) as (picture, header):
        check(header)
        picture.load()
        check(replace(header, orientation=_orientation(picture)))  # a PNG may store its orientation after its pixels
    return picture, header


@contextmanager
def _opened(path: Path, formats: Sequence[str]) -> Iterator[tuple[ImageFile, Header]]:
    """Yield an image that is not decoded yet, and its header. Errors of decoders within the block become CorruptionError."""
    try:
        stream = open_regular(path)
    except FileNotFoundError:
        raise CorruptionError("missing.") from None
    except OSError as error:
        raise CorruptionError(f"{error_text(error)}.") from None
    advice = f"Expected a complete {', '.join(formats[:-1])} or {formats[-1]}; copy or extract the file again."
    start = b""
    try:
        with stream:
            size = os.fstat(stream.fileno()).st_size
            if size > MAX_BYTES:
                raise CorruptionError(f"{size:,} bytes; expected an image of at most {MAX_BYTES:,}.")
            start = stream.read(32)
            stream.seek(0)
            picture = Image.open(stream, formats=tuple(formats))
            picture.info.pop(
                "transparency", None
            )  # alpha is dropped; converting a palette would print a warning about it
            yield picture, _header(picture, start)
    except CorruptionError:
        raise
    except Image.UnidentifiedImageError:
        raise CorruptionError(f"it is not a readable image ({_content(start)}). {advice}") from None
    except Exception as error:  # decoders raise errors of many types
        raise CorruptionError(f"it is not a readable image ({error_text(error)}). {advice}") from None


def _holds_several(picture: ImageFile) -> bool:
    """Return whether a file holds several images. The images of a TIFF are not counted, because finding each starts at the first."""
    if picture.format != "TIFF":
        return int(getattr(picture, "n_frames", 1)) != 1
    try:
        picture.seek(1)
    except EOFError:
        picture.seek(0)
        return False
    return True


def _check_scans(picture: ImageFile) -> None:
    """Refuse a progressive JPEG of very many scans, because each scan decodes the whole image again. Ten are usual."""
    stream = picture.fp
    assert stream is not None
    place = stream.tell()
    stream.seek(0)
    scans = stream.read().count(b"\xff\xda")
    stream.seek(place)
    if scans > _MAX_SCANS:
        raise CorruptionError(
            f"a progressive JPEG of {scans} scans; expected at most {_MAX_SCANS}. Save it again with fewer."
        )


def _header(picture: ImageFile, start: bytes) -> Header:
    """Return the header of an opened image, after checks of its size."""
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise CorruptionError(f"it claims to have {width}x{height} pixels; expected at most {MAX_PIXELS:,} in total.")
    if _holds_several(picture):
        raise CorruptionError("it holds several images; expected one. Save each image in a separate file.")
    if picture.format == "JPEG" and picture.info.get("progressive"):
        _check_scans(picture)
    orientation = _orientation(picture)
    if orientation > 4:
        width, height = height, width
    mode, bits = _channels(picture, start)
    return Header(str(picture.format), mode, bits, width, height, orientation)


def _channels(picture: ImageFile, start: bytes) -> tuple[str, int]:
    """Return the channels and their stored bits."""
    if picture.format == "PNG":
        if start[12:16] != b"IHDR" or start[25] not in _PNG_MODES:
            raise CorruptionError("a PNG that does not begin with its header; it is damaged.")
        return _PNG_MODES[start[25]], start[24]
    if isinstance(picture, TiffImageFile):
        bits = picture.tag_v2.get(_TIFF_BITS, (1 if picture.mode == "1" else 8,))
        return picture.mode, max(bits)
    return picture.mode, 1 if picture.mode == "1" else 8


def _orientation(picture: ImageFile) -> int:
    """Return the EXIF orientation, or 1 if there is none that can be read. Pillow turns a TIFF itself."""
    exif = Image.Exif()
    try:
        exif.load(picture.info.get("exif", b""))
        orientation = exif.get(_EXIF_ORIENTATION, 1)
    except Exception:  # viewers ignore damaged EXIF, and the pixels are intact
        return 1
    return orientation if orientation in _TURNS else 1


def _content(start: bytes) -> str:
    """Return what kind of file starts with these bytes."""
    kinds = (kind for signature, kind in _CONTENTS.items() if start.lstrip().startswith(signature))
    return next(kinds, "of an unknown kind" if start else "empty")


def resize_image(image: Pixels, size: int) -> Pixels:
    """Resize RGB to (size, size): by averaging over pixel areas if both sides shrink, otherwise bilinear."""
    shrinks = image.shape[0] > size and image.shape[1] > size
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def resize_mask(mask: Pixels, size: int) -> Pixels:
    """Resize a mask of ids to (size, size) by the nearest pixels."""
    return cv2.resize(mask, (size, size), interpolation=cv2.INTER_NEAREST_EXACT)


def error_text(error: Exception) -> str:
    """Return the text of an error, without its file name and number."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
