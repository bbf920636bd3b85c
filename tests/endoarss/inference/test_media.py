"""Videos: containers that hold their frames are read, whatever leads to other files and addresses is refused."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from endoarss.errors import MediaError
from endoarss.inference import media
from endoarss.inference.media import Source, count_frames, find_sources, read_frames
from pipeline.io.images import read_rgb

OWN, OTHER = (200, 0, 0), (0, 200, 0)  # RGB
OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"


def write_video(path: Path, colour: tuple[int, int, int] = OWN, codec: str = "MJPG", rate: float = 25) -> Path:
    """Six frames of one colour."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), rate, (64, 48))
    assert writer.isOpened()
    for _ in range(6):
        writer.write(np.full((48, 64, 3), colour[::-1], np.uint8))
    writer.release()
    return path


def read(path: Path) -> list[np.ndarray]:
    return [frame.pixels for frame in read_frames(Source(path, path.name))]


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "mp4v"),
        ("a.m4v", "mp4v"),
        ("a.mov", "MJPG"),
        ("a.avi", "MJPG"),
        ("a.mkv", "mp4v"),
        ("a.webm", "VP80"),
        ("a.mpg", "PIM1"),
        ("a.mpeg", "MPG2"),
        ("a.ts", "MPG2"),
        ("a.wmv", "WMV2"),
    ],
)
def test_every_container_is_read_whatever_its_name(tmp_path: Path, name: str, codec: str) -> None:
    path = write_video(tmp_path / name, codec=codec).rename(tmp_path / "renamed.avi")
    frames = read(path)
    assert len(frames) >= 5 and all(np.abs(frame.mean((0, 1)) - OWN).max() < 25 for frame in frames)


PLAYLISTS = {
    "concat.mp4": "ffconcat version 1.0\nfile other.avi\n",
    "concat.avi": "ffconcat version 1.0\nfile other.avi\n",
    "spaced.mkv": "\nffconcat version 1.0\nfile other.avi\n",
    "hls.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:1,\nother.avi\n#EXT-X-ENDLIST\n",
    "sdp.mov": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    "asx.wmv": '<asx version="3.0"><entry><ref href="other.avi"/></entry></asx>',
    "rtsp.mov": "RTSPtextrtsp://127.0.0.1:9/x",
    "behind.mpg": "\0\0\1\xbaffconcat version 1.0\nfile other.avi\n",
}


@pytest.mark.parametrize("known", [False, True], ids=["by its content", "by FFmpeg"])
@pytest.mark.parametrize("name", PLAYLISTS)
def test_a_playlist_is_no_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, known: bool) -> None:
    """It is refused by its first bytes; and FFmpeg, where they deceive, reads no playlist."""
    write_video(tmp_path / "other.avi", OTHER)
    path = tmp_path / name
    path.write_bytes(PLAYLISTS[name].encode("latin-1"))
    if known:
        monkeypatch.setattr(media, "_is_container", lambda start: True)
    with pytest.raises(MediaError, match=f"{name}: not a readable video"):
        read(path)
    assert count_frames([Source(path, name)], 1) == 0


def test_a_playlist_would_be_read_by_opencv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If this fails, the tests above prove nothing."""
    monkeypatch.delenv(OPTIONS, raising=False)
    write_video(tmp_path / "other.avi", OTHER)
    path = tmp_path / "concat.mp4"
    path.write_text(PLAYLISTS[path.name])
    done, frame = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG).read()
    assert done and frame[0, 0, 1] > 150


def test_a_name_is_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "other.avi", OTHER)
    own = write_video(tmp_path / "own.avi")
    monkeypatch.chdir(tmp_path)
    own.rename("concat:other.avi|other.avi")
    monkeypatch.delenv(OPTIONS, raising=False)
    done, frame = cv2.VideoCapture("concat:other.avi|other.avi", cv2.CAP_FFMPEG).read()
    assert done and frame[0, 0, 1] > 150, "OpenCV would read the other"
    (source,) = find_sources([Path("concat:other.avi|other.avi")])
    frames = [frame.pixels for frame in read_frames(source)]
    assert len(frames) == 6 and frames[0][0, 0, 0] > 150


def with_track_elsewhere(content: bytes, target: str) -> bytes:
    """A QuickTime file whose track says that its frames lie in another file, by an alias record."""
    out, place = b"", 0
    while place < len(content):
        (size,) = struct.unpack_from(">I", content, place)
        kind, body = content[place + 4 : place + 8], content[place + 8 : place + size]
        if kind in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
            body = with_track_elsewhere(body, target)
        elif kind == b"dref":
            name = target.encode() + b"\0" * (len(target) % 2)
            levels = struct.pack(">hh", 1, 1) + bytes(16)
            path = struct.pack(">hH", 2, len(name)) + name + struct.pack(">hH", -1, 0)
            alias = b"alis" + bytes(4) + bytes(10 + 1 + 27 + 12 + 1 + 63 + 16) + levels + path
            body = body[:4] + struct.pack(">II", 1, 4 + len(alias)) + alias
        out += struct.pack(">I", 8 + len(body)) + kind + body
        place += size
    return out


def test_a_track_in_another_file_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = write_video(tmp_path / "own.mov")
    write_video(tmp_path / "other.mov", OTHER)
    path = tmp_path / "elsewhere.mov"
    path.write_bytes(with_track_elsewhere(own.read_bytes(), "/x/other.mov"))
    monkeypatch.setenv(OPTIONS, "enable_drefs;1")
    done, frame = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG).read()
    assert done and frame[0, 0, 1] > 150, "FFmpeg would follow it"
    with pytest.raises(MediaError, match=r"elsewhere.mov: not one frame can be decoded"):
        read(path)


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((9, 9, 3), 90, np.uint8)).save(path)
    return path


def names(*inputs: Path) -> list[str]:
    return [source.name for source in find_sources(inputs)]


def test_inputs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    a, b = picture(tmp_path / "a/x/001.png"), picture(tmp_path / "b/x/001.png")
    assert names(tmp_path / "a") == ["x/001"]
    assert names(a, b) == ["a/x/001", "b/x/001"]
    assert names(tmp_path / "a", tmp_path / "b") == ["a/x/001", "b/x/001"]
    assert names(b, a.parent / "../x/001.png", tmp_path / "b", picture(tmp_path / "c/002.png")) == [
        "b/x/001",
        "a/x/001",
        "002",
    ], "what is given twice counts once, and what is alone keeps its name"
    assert names(picture(tmp_path / "c/002.jpg"), tmp_path / "c") == ["002_jpg", "002_png"]
    assert names(a, picture(tmp_path / "d/001.PNG").rename(tmp_path / "d/001.PNG")) == ["x/001", "d/001"]


def test_pictures_and_videos_of_one_name_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    for name in ("clip.mp4", "clip.avi"):
        (tmp_path / "v" / name).touch()
    picture(tmp_path / "v/clip.png")
    assert names(tmp_path / "v") == ["clip.avi", "clip.mp4", "clip"]
    picture(tmp_path / "f/clip.mp4/000000.png")
    assert names(tmp_path / "v/clip.mp4", tmp_path / "f") == ["v/clip.mp4", "f/clip.mp4/000000"]


def test_names_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg", "a_png.png"):
        picture(tmp_path / "in" / name)
    with pytest.raises(MediaError, match=r"a.png, .*a_png.png: their results would get the same name. Rename one"):
        find_sources([tmp_path / "in"])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.sampled_from(["a", "b", "v.mp4", "..", "A"]), min_size=1, max_size=4), max_size=8))
def test_names_are_distinct_and_stay_below_the_folder(paths: list[list[str]]) -> None:
    found = {}
    for parts in paths:
        whole = Path("/root") / "/".join(part for part in parts if part != "..")
        for path in (whole.with_suffix(".mp4"), whole / "x.png"):
            found[path] = (path, 1)
    try:
        given_names = media._unique_names(found)
    except MediaError as error:
        assert "same name" in str(error)
    else:
        assert len({name.casefold() for name in given_names}) == len(given_names)
        assert not any(name.startswith("/") or ".." in name.split("/") for name in given_names)


def test_a_grey_picture_is_read_as_for_training(tmp_path: Path) -> None:
    path = tmp_path / "c.png"
    Image.fromarray(np.arange(81, dtype=np.uint8).reshape(9, 9)).save(path)
    (frame,) = read_frames(Source(path, "c"))
    np.testing.assert_array_equal(frame.pixels, read_rgb(path))
    assert frame.index is None and frame.name == "c"
