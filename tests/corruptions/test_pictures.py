"""The one reader of pictures and masks: each way to store is read as what it means, or refused with what it is."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from corruptions import CorruptionError
from corruptions.command.files import encode_png
from corruptions.pictures import read_colours, read_header, read_image, read_mask, read_samples
from corruptions.regular import check_regular, open_regular
from tests.stored_pictures import KINDS, LOSSY, MORE, PALETTE, TOLERANCE, exif_of, ids_of, saved, shades, turned

IDS = ids_of(48, 64)
ALL = {**KINDS, **MORE}


@pytest.mark.parametrize("kind", ALL)
def test_every_way_to_store_is_read_right_or_refused(tmp_path: Path, kind: str) -> None:
    path, how = tmp_path / f"a{ALL[kind].suffix}", ALL[kind]
    path.write_bytes(how.content(IDS))
    for read, expected in ((read_image, how.rgb), (read_mask, how.ids)):
        if isinstance(expected, str):
            with pytest.raises(CorruptionError, match=expected):
                read(path)
        else:
            found, wanted = read(path), expected(IDS)
            assert found.dtype == np.uint8 and found.shape == wanted.shape
            tolerance = TOLERANCE if kind in LOSSY else 0
            assert np.abs(found.astype(int) - wanted).max() <= tolerance
    if not isinstance(how.rgb, str):
        header = read_header(path)
        if kind != "png_late_exif":  # whose pixels a header is read without
            assert (header.height, header.width) == how.rgb(IDS).shape[:2]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_an_image_is_turned_as_viewers_turn_it(tmp_path: Path, kind: str, orientation: int) -> None:
    path, pixels = tmp_path / "a", shades(IDS)
    stored = Image.fromarray(turned(pixels, orientation))
    options: dict[str, object] = {"exif": b"Exif\0\0" + exif_of(orientation)}
    if kind == "TIFF":
        options = {"tiffinfo": {274: orientation}}
    options |= {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    path.write_bytes(saved(stored, kind, **options))
    found = read_image(path)
    assert found.shape == pixels.shape and read_header(path).width == 64
    assert np.abs(found.astype(int) - pixels).max() <= (TOLERANCE if kind == "JPEG" else 0)


@pytest.mark.parametrize("exif", [b"Exif\0\0junk", b"Exif\0\0" + exif_of(9), b"Exif\0\0" + exif_of(0), b"\0" * 40])
def test_exif_that_says_nothing_is_passed_over(tmp_path: Path, exif: bytes) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(shades(IDS)).save(path, exif=exif)
    np.testing.assert_array_equal(read_image(path), shades(IDS))


def test_colours_of_a_label(tmp_path: Path) -> None:
    for kind in ("palette", "palette2bit", "colours", "transparent"):
        (tmp_path / "a.png").write_bytes(KINDS[kind].content(IDS))
        np.testing.assert_array_equal(read_colours(tmp_path / "a.png"), PALETTE[IDS])
    (tmp_path / "a.png").write_bytes(KINDS["colours"].content(IDS))
    np.testing.assert_array_equal(read_samples(tmp_path / "a.png"), PALETTE[IDS])
    for kind in ("grey8", "bit1", "rgb16", "jpeg_named_png", "greyalpha8"):
        (tmp_path / "a.png").write_bytes(KINDS[kind].content(IDS))
        with pytest.raises(CorruptionError, match="expected a (label in colours|mask of ids)"):
            read_colours(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (encode_png(shades(IDS))[:-400], "not a readable image .*Expected a complete PNG, JPEG, BMP, TIFF or WEBP"),
        (
            encode_png(np.zeros((6001, 6000), np.uint8)),
            "it claims to have 6000x6001 pixels; expected at most 36,000,000",
        ),
        (b"", r"not a readable image \(empty\)"),
        (b"<!DOCTYPE html>", "a web page or other text"),
        (b"\xff\xd8\xff\xe0" + bytes(60), "a JPEG that is damaged"),
        (b"what is this", "of an unknown kind"),
    ],
    ids=["torn", "bomb", "empty", "page", "jpeg", "text"],
)
def test_what_is_no_whole_picture_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "a.png").write_bytes(content)
    for read in (read_image, read_mask):
        with pytest.raises(CorruptionError, match=reason):
            read(tmp_path / "a.png")


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(list(ALL)), st.integers(0, 400), st.binary(min_size=1, max_size=5), st.integers(0, 40))
def test_a_damaged_file_is_read_or_refused(kind: str, where: int, noise: bytes, cut: int) -> None:
    content = bytearray(ALL[kind].content(ids_of(24, 32)))
    content[where % len(content) : where % len(content) + len(noise)] = noise
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.png"
        path.write_bytes(content[: len(content) - cut])
        for read in (read_image, read_mask, read_header):
            with contextlib.suppress(CorruptionError):
                read(path)


def make(path: Path, what: str) -> None:
    """Something of this name that is no regular file."""
    if what == "a named pipe":
        os.mkfifo(path)
    elif what == "a folder":
        path.mkdir()
    elif what == "a device":
        path.symlink_to("/dev/zero")
    elif what == "a socket":
        with socket.socket(socket.AF_UNIX) as opened, contextlib.chdir(path.parent):  # a socket's path is short
            opened.bind(path.name)


def descriptors() -> int:
    """How many this process holds."""
    return sum(1 for _ in Path("/dev/fd").iterdir())


@pytest.mark.parametrize("what", ["a named pipe", "a folder", "a device", "a socket"])
def test_what_is_no_regular_file_is_told_at_once(tmp_path: Path, what: str) -> None:
    path = tmp_path / "a.png"
    make(path, what)
    before = descriptors()
    for read in (read_image, read_mask, read_header):
        with pytest.raises(CorruptionError, match=f"^{what}; expected a regular file.$"):
            read(path)
    for opened in (open_regular, check_regular):
        with pytest.raises(OSError, match=what):
            opened(path)
    assert descriptors() == before


def test_a_link_to_a_file_is_followed_and_one_to_nothing_is_missing(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encode_png(IDS))
    (tmp_path / "link.png").symlink_to(tmp_path / "a.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "link.png"), IDS)
    (tmp_path / "a.png").unlink()
    with pytest.raises(CorruptionError, match="missing"):
        read_mask(tmp_path / "link.png")
