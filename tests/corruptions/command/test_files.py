"""Reading pictures and masks: what is taken, what is refused and how, and that they come back as they are."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from corruptions import CorruptionError
from corruptions.command.files import encode_png, find_pictures, read_image, read_mask, write_whole

RGB = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
IDS = np.random.default_rng(1).integers(0, 5, (48, 64), np.uint8)


def save(path: Path, image: Image.Image, kind: str = "PNG", **options: object) -> Path:
    image.save(path, kind, **options)
    return path


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP"])
def test_the_content_decides_and_not_the_name(tmp_path: Path, kind: str) -> None:
    path = save(tmp_path / "a.jpg", Image.fromarray(RGB), kind, **({"lossless": True} if kind == "WEBP" else {}))
    np.testing.assert_array_equal(read_image(path), RGB)


def test_an_orientation_is_not_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by a quarter
    path = save(tmp_path / "a.jpg", Image.fromarray(RGB), "JPEG", exif=exif)
    assert read_image(path).shape == (48, 64, 3)


def sixteen_bit(suffix: str) -> bytes:
    return cv2.imencode(suffix, RGB.astype(np.uint16) * 257)[1].tobytes()


def two_pages() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(RGB).save(stream, "TIFF", save_all=True, append_images=[Image.fromarray(RGB)])
    return stream.getvalue()


def converted(mode: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(RGB).convert(mode).save(stream, "TIFF" if mode == "CMYK" else "PNG")
    return stream.getvalue()


BOMB = encode_png(np.zeros((6001, 6000), np.uint8))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (lambda: converted("L"), "grey; expected RGB of 8 bits a channel. Save it as such first."),
        (lambda: converted("LA"), "grey with alpha; expected RGB"),
        (lambda: converted("P"), "palette; expected RGB"),
        (lambda: converted("RGBA"), "RGB with alpha; expected RGB"),
        (lambda: converted("1"), "black and white; expected RGB"),
        (lambda: converted("CMYK"), "CMYK; expected RGB"),
        (lambda: sixteen_bit(".png"), "RGB of 16 bits a channel; expected RGB of 8"),
        (lambda: sixteen_bit(".tif"), "RGB of 16 bits a channel; expected RGB of 8"),
        (two_pages, "holds 2 pictures; expected one"),
        (lambda: encode_png(RGB)[:-400], "not a readable picture"),
        (lambda: BOMB, "claims 6000x6001 pixels; expected at most 36,000,000"),
        (lambda: b"", "not a picture of a known kind. Expected PNG, JPEG, BMP, TIFF, WEBP"),
        (lambda: b"GIF89a" + bytes(100), "not a picture of a known kind"),
    ],
)
def test_other_pictures_are_refused_with_a_reason(tmp_path: Path, content: Callable[[], bytes], reason: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content())
    with pytest.raises(CorruptionError, match=f"^{reason}"):
        read_image(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "folder.png").mkdir()
    for name, reason in (("link.png", "missing"), ("folder.png", "not a file")):
        with pytest.raises(CorruptionError, match=reason):
            read_image(tmp_path / name)


def test_masks_of_ids_are_read_as_stored(tmp_path: Path) -> None:
    palette = Image.fromarray(IDS)
    palette.putpalette([value * 50 for value in range(5) for _ in range(3)])
    for image in (Image.fromarray(IDS), palette):
        np.testing.assert_array_equal(read_mask(save(tmp_path / "m.png", image)), IDS)


def test_other_masks_are_refused(tmp_path: Path) -> None:
    for name, content, reason in (
        ("rgb", encode_png(RGB), "^RGB; expected a mask of class ids"),
        ("deep", cv2.imencode(".png", IDS.astype(np.uint16))[1].tobytes(), "^grey of 16 bits a channel; expected"),
        ("shallow", four_bit_png(IDS), "^grey of 4 bits a channel; expected"),
    ):
        path = tmp_path / f"{name}.png"
        path.write_bytes(content)
        with pytest.raises(CorruptionError, match=reason):
            read_mask(path)


def four_bit_png(ids: np.ndarray) -> bytes:
    """Grey of 4 bits, which Pillow cannot write; it reads an id of 1 as 17."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    packed = (ids[:, ::2] << 4) | ids[:, 1::2]
    rows = b"".join(b"\0" + row.tobytes() for row in packed)
    header = struct.pack(">IIBBBBB", ids.shape[1], ids.shape[0], 4, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("pixels", [RGB, IDS, np.zeros_like(RGB)])
def test_what_is_written_comes_back(tmp_path: Path, pixels: np.ndarray) -> None:
    path = tmp_path / "deep" / "a.png"
    write_whole(path, encode_png(pixels), tmp_path)
    np.testing.assert_array_equal(read_image(path) if pixels.ndim == 3 else read_mask(path), pixels)
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["a.png"]


def test_pictures_are_found_at_any_depth_and_named(tmp_path: Path) -> None:
    for name in ("b.PNG", "v1/a.x.jpeg", ".hidden/c.png", "__MACOSX/d.png", "v1/._a.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "v1" / "round").symlink_to(tmp_path)
    assert [picture.image_id for picture in find_pictures(tmp_path)] == ["b", "v1/a.x"]


@pytest.mark.parametrize("names", [("a.png", "a.jpg"), ("v/a.png", "V/A.png")])
def test_two_pictures_of_one_name_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(CorruptionError, match="would get the same name"):
        find_pictures(tmp_path)
