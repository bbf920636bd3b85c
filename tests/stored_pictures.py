"""The ways in which pictures and masks are stored, and what each must be read as: by every command the same, or refused with what it is."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.uint8]

PALETTE = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0]], np.uint8)
GREY, RGB, INDEXED, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6  # colour types of a PNG


def ids_of(height: int, width: int) -> Array:
    """A mask of ids 0, 1 and 2 that no turning leaves as it is."""
    mask = np.zeros((height, width), np.uint8)
    mask[height // 6 : height // 2, 2 : width // 2], mask[height // 2 : -3, width // 2 : -8] = 1, 2
    return mask


def png_of(samples: NDArray, depth: int, colour: int, extra: bytes = b"", last: bytes = b"") -> bytes:
    """A PNG of any depth and colour type, which image libraries cannot all write. extra, last: chunks before and after the pixels."""
    height, width = samples.shape[:2]
    flat = samples.reshape(height, -1)
    if depth == 16:
        rows = [row.astype(">u2").tobytes() for row in flat]
    else:
        bits = np.unpackbits(flat.astype(np.uint8)[..., None], axis=2)[..., 8 - depth :].reshape(height, -1)
        rows = [row.tobytes() for row in np.packbits(bits, axis=1)]
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + body + last + chunk(b"IEND", b"")


def chunk(kind: bytes, content: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def exif_of(orientation: int) -> bytes:
    """EXIF that asks for this orientation, as a chunk of a PNG holds it."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes().removeprefix(b"Exif\0\0")


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    """What Pillow writes."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def turned(pixels: Array, orientation: int) -> Array:
    """Pixels as they must be stored so that this orientation shows them upright, by its definition: where row 0 and column 0 lie."""
    wanted = pixels.swapaxes(0, 1) if orientation > 4 else pixels
    down = orientation in (3, 4, 7, 8)
    across = orientation in (2, 3, 6, 7)
    if orientation > 4:
        down, across = orientation in (7, 6), orientation in (7, 8)
    stored = wanted[::-1] if down else wanted
    return np.ascontiguousarray(stored[:, ::-1] if across else stored)


def repeated(grey: Array) -> Array:
    """Grey as RGB."""
    return np.repeat(grey[..., None], 3, axis=2)


@dataclass(frozen=True)
class Kind:
    """One way to store.

    Attributes:
        content: the file, made of a mask of ids (H, W), in one of three values.
        ids: what it is as a mask, of the same; or the words with which it is refused.
        rgb: what it is as an image; or the words with which it is refused.
        suffix: what its name ends in.
    """

    content: Callable[[Array], bytes]
    ids: Callable[[Array], Array] | str
    rgb: Callable[[Array], Array] | str
    suffix: str = ".png"


def same(mask: Array) -> Array:
    """The mask itself."""
    return mask


def shades(mask: Array) -> Array:
    """A colourful picture of a mask, smooth enough for JPEG."""
    return cv2.GaussianBlur(np.array([[20, 40, 60], [200, 40, 40], [40, 40, 200]], np.uint8)[mask], (5, 5), 0)


def frames_of(mask: Array, kind: str) -> bytes:
    """A file with two pictures in it."""
    first, second = Image.fromarray(shades(mask)), Image.fromarray(255 - shades(mask))
    return saved(first, kind, save_all=True, append_images=[second])


def with_alpha(samples: NDArray, opaque: int) -> NDArray:
    """Samples with an alpha that changes from row to row."""
    channels = samples[..., None] if samples.ndim == 2 else samples
    alpha = np.linspace(0, opaque, samples.shape[0])[:, None, None].astype(channels.dtype)
    return np.concatenate([channels, np.broadcast_to(alpha, (*samples.shape[:2], 1))], axis=2)


def palette_png(mask: Array, depth: int, extra: bytes = b"") -> bytes:
    """Ids as indices of a palette."""
    return png_of(mask, depth, INDEXED, chunk(b"PLTE", PALETTE.tobytes()) + extra)


def exif_jpeg(orientation: int) -> Kind:
    """A JPEG that asks to be turned."""

    def content(mask: Array) -> bytes:
        pixels = Image.fromarray(turned(shades(mask), orientation))
        return saved(pixels, "JPEG", quality=100, subsampling=0, exif=b"Exif\0\0" + exif_of(orientation))

    return Kind(content, "a JPEG; expected a mask of ids in a PNG", shades, ".jpg")


SIXTEEN = r"of 16 bits per channel; expected"
TWO = "it holds several images; expected one"

KINDS: dict[str, Kind] = {
    "grey8": Kind(lambda m: png_of(m, 8, GREY), same, repeated),
    "palette": Kind(lambda m: palette_png(m, 8), same, lambda m: PALETTE[m]),
    "palette2bit": Kind(lambda m: palette_png(m, 2), same, lambda m: PALETTE[m]),
    "rgb16": Kind(lambda m: png_of(repeated(m).astype(np.uint16), 16, RGB), f"RGB {SIXTEEN}", f"RGB {SIXTEEN}"),
    "grey16": Kind(lambda m: png_of(m.astype(np.uint16), 16, GREY), same, f"grey {SIXTEEN}"),
    "greyalpha16": Kind(
        lambda m: png_of(with_alpha(m.astype(np.uint16), 65535), 16, GREY_ALPHA),
        f"grey with alpha {SIXTEEN}",
        f"grey with alpha {SIXTEEN}",
    ),
    "grey4": Kind(lambda m: png_of(m, 4, GREY), same, lambda m: repeated(m * 17)),
    "grey2": Kind(lambda m: png_of(m, 2, GREY), same, lambda m: repeated(m * 85)),
    "bit1": Kind(
        lambda m: png_of(m > 0, 1, GREY),
        lambda m: (m > 0).astype(np.uint8),
        lambda m: repeated((m > 0) * np.uint8(255)),
    ),
    "0255": Kind(
        lambda m: png_of((m > 0) * np.uint8(255), 8, GREY),
        lambda m: (m > 0) * np.uint8(255),
        lambda m: repeated((m > 0) * np.uint8(255)),
    ),
    "jpeg_named_png": Kind(
        lambda m: saved(Image.fromarray(shades(m)), "JPEG", quality=100, subsampling=0),
        "a JPEG; expected a mask of ids in a PNG.*JPEG changes values",
        shades,
    ),
    "empty": Kind(lambda m: png_of(m * 0, 8, GREY), lambda m: m * 0, lambda m: repeated(m * 0)),
    "exif3": exif_jpeg(3),
    "exif6": exif_jpeg(6),
    # Beyond those: more that libraries hand out without a word.
    "rgb8": Kind(lambda m: png_of(repeated(m), 8, RGB), same, repeated),
    "colours": Kind(lambda m: png_of(PALETTE[m], 8, RGB), r"colour", lambda m: PALETTE[m]),
    "rgba8": Kind(lambda m: png_of(with_alpha(repeated(m), 255), 8, RGB_ALPHA), same, repeated),
    "rgba16": Kind(
        lambda m: png_of(with_alpha(repeated(m).astype(np.uint16), 65535), 16, RGB_ALPHA),
        f"RGB with alpha {SIXTEEN}",
        f"RGB with alpha {SIXTEEN}",
    ),
    "greyalpha8": Kind(lambda m: png_of(with_alpha(m, 255), 8, GREY_ALPHA), same, repeated),
    "transparent": Kind(lambda m: palette_png(m, 8, chunk(b"tRNS", bytes([0, 128, 255]))), same, lambda m: PALETTE[m]),
    "grey16_large": Kind(
        lambda m: png_of(m.astype(np.uint16) * 300, 16, GREY), "value 600 in grey of 16 bits", f"grey {SIXTEEN}"
    ),
    "rgb12": Kind(
        lambda m: png_of(shades(m).astype(np.uint16) * 16, 16, RGB),
        f"RGB {SIXTEEN}",
        f"RGB {SIXTEEN} .*its values scaled to 0..255",
    ),
    "png_exif": Kind(
        lambda m: png_of(turned(shades(m), 6), 8, RGB, chunk(b"eXIf", exif_of(6))),
        r"its EXIF orientation is 6",
        shades,
    ),
    "png_late_exif": Kind(
        lambda m: png_of(turned(shades(m), 8), 8, RGB, last=chunk(b"eXIf", exif_of(8))),
        r"its EXIF orientation is 8",
        shades,
    ),
    "apng": Kind(lambda m: frames_of(m, "PNG"), TWO, TWO),
    "mpo": Kind(lambda m: frames_of(m, "MPO"), TWO, TWO, ".jpg"),
    "cmyk": Kind(
        lambda m: saved(Image.fromarray(shades(m)).convert("CMYK"), "JPEG"),
        "a JPEG; expected",
        "CMYK; expected RGB",
        ".jpg",
    ),
}

# Formats that no dataset comes in, for what takes any picture: `predict` and `corruptions apply`.
MORE: dict[str, Kind] = {
    "tiff": Kind(lambda m: saved(Image.fromarray(shades(m)), "TIFF"), "a TIFF; expected", shades, ".tif"),
    "tiff_exif": Kind(
        lambda m: saved(Image.fromarray(turned(shades(m), 5)), "TIFF", tiffinfo={274: 5}),
        "a TIFF; expected",
        shades,
        ".tif",
    ),
    "tiff16": Kind(
        lambda m: cv2.imencode(".tif", shades(m).astype(np.uint16) * 16)[1].tobytes(),
        "a TIFF",
        f"RGB {SIXTEEN}",
        ".tif",
    ),
    "tiff_grey16": Kind(
        lambda m: cv2.imencode(".tif", m.astype(np.uint16))[1].tobytes(), "a TIFF", f"grey {SIXTEEN}", ".tif"
    ),
    "tiff_float": Kind(
        lambda m: saved(Image.fromarray(m.astype(np.float32)), "TIFF"), "a TIFF", "floating point of 32 bits", ".tif"
    ),
    "tiff_two": Kind(lambda m: frames_of(m, "TIFF"), TWO, TWO, ".tif"),
    "webp": Kind(lambda m: saved(Image.fromarray(shades(m)), "WEBP", lossless=True), "a WEBP", shades, ".webp"),
    "webp_exif": Kind(
        lambda m: saved(Image.fromarray(turned(shades(m), 7)), "WEBP", lossless=True, exif=b"Exif\0\0" + exif_of(7)),
        "a WEBP",
        shades,
        ".webp",
    ),
    "webp_two": Kind(lambda m: frames_of(m, "WEBP"), TWO, TWO, ".webp"),
    "bmp": Kind(lambda m: saved(Image.fromarray(shades(m)), "BMP"), "a BMP", shades, ".bmp"),
    "gif": Kind(lambda m: frames_of(m, "GIF"), r"not a readable image \(a GIF\)", r"not a readable image \(a GIF\)"),
}
LOSSY = {"exif3", "exif6", "jpeg_named_png"}
TOLERANCE = 12  # grey levels that JPEG may change at its best quality
