"""Fuzzing: whatever a file holds, it is read or refused with its name, in little time and memory; never a traceback."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from corruptions.pictures import MAX_PIXELS
from pipeline.datasets.card import read_card
from pipeline.datasets.manifest import COLUMNS, manifest_text, read_manifest
from pipeline.errors import InputError
from pipeline.io.files import read_text
from pipeline.io.images import read_channels, read_colours, read_header, read_ids, read_rgb
from pipeline.sources import endovis2018, vqla

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["name", "color", "classes", "classid", "x"]), inner, max_size=4)
    ),
    max_leaves=20,
)


def refuses_or_reads(name: str, content: bytes, read: Callable[[Path], object]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        try:
            read(path)
        except InputError as error:
            assert folder in str(error), "the message names the file"


@settings(max_examples=200, deadline=None)
@given(JSON)
def test_any_json_is_a_label_list_or_refused(content: object) -> None:
    refuses_or_reads("labels.json", json.dumps(content).encode(), lambda path: endovis2018.read_label_lists([path]))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=100) | st.text(alphabet='[]{}",:0123456789name color', max_size=100).map(str.encode))
def test_any_bytes_are_a_label_list_or_refused(content: bytes) -> None:
    refuses_or_reads("labels.json", content, lambda path: endovis2018.read_label_lists([path]))


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_text("[" * 100_000)
    with pytest.raises(InputError, match="labels.json: not a label list"):
        endovis2018.read_label_lists([path])


QUESTIONS = st.text(alphabet="What is the state of?|,-_0123456789\n\r \x00é", max_size=120)


@settings(max_examples=200, deadline=None)
@given(QUESTIONS)
def test_any_question_text_is_read_or_refused(text: str) -> None:
    refuses_or_reads("frame000_QA.txt", text.encode(), vqla.read_states)


XML = st.text(alphabet="<>/&;!-\"'= abcobjectsnameinteraction", max_size=120)


@settings(max_examples=200, deadline=None)
@given(XML | st.binary(max_size=100).map(lambda content: content.decode("latin-1")))
def test_any_xml_is_read_or_refused(text: str) -> None:
    refuses_or_reads("frame000.xml", f"<annotation><objects>{text}</objects></annotation>".encode(), vqla.read_states)
    refuses_or_reads("frame000.xml", text.encode(), vqla.read_states)


def test_nested_and_huge_annotations_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "frame000.xml"
    path.write_text("<a>" * 100_000)
    with pytest.raises(InputError, match="frame000.xml: not XML"):
        vqla.read_states(path)
    with path.open("wb") as stream:
        stream.truncate(3 << 30)  # sparse
    with pytest.raises(InputError, match=r"frame000.xml: 3,221,225,472 bytes; expected a text of at most"):
        vqla.read_states(path)
    with pytest.raises(InputError, match=r"cannot be read \(a folder; expected a regular file\)"):
        read_text(tmp_path)


def png(mode: str = "RGB", size: tuple[int, int] = (40, 30)) -> bytes:
    stored = BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 4), np.uint8)
    Image.fromarray(pixels, "RGBA").convert(mode).save(stored, "PNG")
    return stored.getvalue()


READERS = (read_rgb, read_ids, read_channels, read_colours, read_header)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["RGB", "L", "RGBA", "P", "1"]),
    st.integers(0, 10_000),
    st.binary(min_size=1, max_size=6),
    st.integers(0, 60),
)
def test_a_damaged_picture_is_read_or_refused(mode: str, where: int, noise: bytes, cut: int) -> None:
    content = bytearray(png(mode))
    content[where % len(content) : where % len(content) + len(noise)] = noise
    content = content[: len(content) - cut]
    for read in READERS:
        refuses_or_reads("frame000.png", bytes(content), read)


@pytest.mark.parametrize("format", ["GIF", "TIFF", "BMP", "WEBP", "PPM", "ICO"])
def test_a_mislabelled_picture_is_refused(tmp_path: Path, format: str) -> None:
    path = tmp_path / "frame000.png"
    Image.new("RGB", (16, 16)).save(path, format)
    with pytest.raises(InputError, match=r"frame000.png: it is not a readable image .*Expected a complete PNG or JPEG"):
        read_rgb(path)


def test_every_truncation_is_found(tmp_path: Path) -> None:
    whole, path = png(), tmp_path / "frame000.png"
    # The last twelve bytes are the end mark, which holds no pixels.
    for length in range(0, len(whole) - 12, 37):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match="frame000.png: it is not a readable image"):
            read_rgb(path)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def bomb(width: int, height: int) -> bytes:
    """A small PNG that claims many pixels, all of them black."""
    rows = zlib.compressobj(9)
    body = b"".join(rows.compress(bytes(1 << 20)) for _ in range(64)) + rows.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(60_000, 60_000), (6001, 6000), (2**31 - 1, 1), (1, 2**31 - 1)])
def test_a_picture_that_claims_too_much_is_not_decoded(tmp_path: Path, width: int, height: int) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(bomb(width, height))
    with pytest.raises(InputError, match=r"bomb.png: it (claims|is not a readable image)"):
        read_header(path)


@pytest.mark.slow
def test_the_largest_picture_that_is_read_stays_below_two_gigabytes(tmp_path: Path) -> None:
    """Measured in a process of its own: the most pixels that are accepted, as image, as colour label and as mask."""
    side = int(MAX_PIXELS**0.5)
    Image.new("RGBA", (side, side)).save(tmp_path / "large.png", compress_level=1)
    script = (
        "import sys; from pathlib import Path; from pipeline.io.images import read_rgb\n"
        "from pipeline.sources import endovis2017 as e17, endovis2018 as e18\n"
        "path = Path(sys.argv[1]); image = read_rgb(path)\n"
        "frame = e18.Frame2018(1, 0, path, path, 'annotations', ((1, path),) * 9)\n"
        "tree = e18.Tree2018(path, {}, {'a': (0, 0, 0)}, {'annotations': e18.Scheme('native2018', '')})\n"
        "e18.type_mask(tree, frame)\n"
        "e17.parts_mask(e17.Frame2017('s', 0, path, {1: [path] * 9}))\n"
        # Not ru_maxrss, which under Linux begins with the peak of the process that starts this one.
        "import torch; from endoarss.devices import peak_memory_mib; print(peak_memory_mib(torch.device('cpu')))"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "large.png")], capture_output=True, text=True, check=True
    )
    assert float(run.stdout) < 2048


def test_a_picture_file_that_holds_too_much_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "frame000.png"
    path.write_bytes(png())
    with path.open("r+b") as stream:
        stream.truncate(5 << 30)  # sparse
    with pytest.raises(InputError, match=r"frame000.png: 5,368,709,120 bytes; expected an image of at most"):
        read_header(path)


ROW = dict.fromkeys(COLUMNS, "") | {"frame_id": "a", "split": "train", "image": "images/a.png", "mask": "masks/a.png"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"image": "../../etc/passwd.png"},
            r"manifest.csv, line 2: the image is '../../etc/passwd.png'; expected images/",
        ),
        ({"mask": "/etc/passwd"}, "line 2: the mask is '/etc/passwd'"),
        ({"split": "val"}, "line 2: the split is 'val'; expected train or test"),
    ],
)
def test_a_manifest_cannot_lead_elsewhere(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    (tmp_path / "manifest.csv").write_text(manifest_text([ROW | changes]))
    with pytest.raises(InputError, match=message):
        read_manifest(tmp_path)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=80).map(lambda text: text.encode("utf-8", "surrogatepass")), st.integers(0, 400))
def test_any_manifest_is_read_or_refused(noise: bytes, where: int) -> None:
    content = bytearray(manifest_text([ROW, ROW]).encode())
    content[where % len(content) : where % len(content) + len(noise)] = noise
    refuses_or_reads("manifest.csv", bytes(content), lambda path: read_manifest(path.parent))


@settings(max_examples=100, deadline=None)
@given(JSON | st.dictionaries(st.sampled_from(["classes", "activities", "frames"]), JSON))
def test_any_card_is_read_or_refused(content: object) -> None:
    refuses_or_reads("dataset.json", json.dumps(content).encode(), lambda path: read_card(path.parent))
