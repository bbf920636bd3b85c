"""Find, name and read image files and videos of users, frame by frame."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from threading import Lock

import cv2

from corruptions.command.files import walk
from corruptions.errors import CorruptionError
from corruptions.pictures import MAX_PIXELS, Pixels, read_image
from corruptions.pictures import SUFFIXES as PICTURES
from corruptions.regular import open_regular
from endoarss.errors import MediaError

VIDEOS = (".mp4", ".m4v", ".avi", ".mkv", ".mov", ".webm", ".mpg", ".mpeg", ".wmv")

_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
# FFmpeg may read only these containers. It may not open files or addresses that a container names.
_FFMPEG_OPTIONS = "|".join(
    (
        "format_whitelist;mov,mp4,m4a,3gp,3g2,mj2,avi,matroska,webm,mpeg,mpegts,mpegvideo,asf",
        "protocol_whitelist;file",
        "enable_drefs;0",
    )
)
_ONE_AT_A_TIME = Lock()
_START = 512  # bytes that identify a container


@dataclass(frozen=True)
class Source:
    """One picture or video: its path as given, and a name below which its results lie, unlike that of any other."""

    path: Path
    name: str

    @property
    def is_video(self) -> bool:
        """Whether it holds frames and not one picture."""
        return self.path.suffix.lower() in VIDEOS


@dataclass(frozen=True)
class Frame:
    """One picture, one frame of a video, or one array.

    Attributes:
        pixels: uint8 RGB (H, W, 3).
        path: of the picture or video; None for an array.
        index: of a frame of a video, counted from 0; else None.
        name: where its results lie: that of a picture, or a number in the folder of its video.
    """

    pixels: Pixels
    path: Path | None = None
    index: int | None = None
    name: str = ""


def find_sources(inputs: Sequence[Path]) -> list[Source]:
    """Return the pictures and videos among files and below folders, with names that tell their results apart.

    Args:
        inputs: files and folders. What is given twice counts once.

    Returns:
        The sources in the order of the inputs, sorted below each.

    Raises:
        MediaError: as `find_files`, or if names cannot be told apart.
    """
    found: dict[Path, tuple[Path, int]] = {}  # by whole path: as given, and how many of its parts name it
    for given in inputs:
        for path in find_files(given):
            depth = len(path.relative_to(given).parts) or 1
            # Links are not resolved: their names count. A part `..` would lead out of the folder of the results.
            found.setdefault(Path(os.path.normpath(path.absolute())), (path, depth))
    names = _names(found)
    return [Source(path, name) for (path, _), name in zip(found.values(), names, strict=True)]


def find_files(given: Path) -> list[Path]:
    """Return a picture or video, or all of them below a folder, sorted. Files that are hidden or something else are passed over there.

    Raises:
        MediaError: if the input is missing or of another kind, or a folder has nothing to read.
    """
    if given.is_dir():
        there = (folder / name for folder, _, names in walk(given) for name in names if not name.startswith("."))
        paths = sorted(path for path in there if path.suffix.lower() in PICTURES + VIDEOS)
        if not paths:
            raise MediaError(f"{given}: no picture or video in this folder. Expected files that end in {_KNOWN}.")
        return paths
    if not given.exists():
        raise MediaError(f"{given}: no such file or folder. Expected a picture, a video, or a folder of them.")
    if given.suffix.lower() not in PICTURES + VIDEOS:
        raise MediaError(f"{given}: neither a picture nor a video by its name. Expected a file that ends in {_KNOWN}.")
    return [given]


_KNOWN = ", ".join(PICTURES + VIDEOS)


def _names(found: Mapping[Path, tuple[Path, int]]) -> list[str]:
    """A name for each path: as many of its last parts as is said, and more where names would be the same.

    A picture's name loses its suffix, unless a picture beside it differs by nothing else; a video's keeps it.
    """
    whole = list(found)
    videos = [path.suffix.lower() in VIDEOS for path in whole]
    beside = Counter(_key(path.with_suffix("")) for path, video in zip(whole, videos, strict=True) if not video)
    parts = []
    for path, video in zip(whole, videos, strict=True):
        twice = not video and beside[_key(path.with_suffix(""))] > 1
        last = path.name if video else f"{path.stem}_{path.suffix[1:]}" if twice else path.stem
        parts.append((*path.parts[1:-1], last))
    counts = [depth for _, depth in found.values()]
    while True:
        names = ["/".join(part[-count:]) for part, count in zip(parts, counts, strict=True)]
        alike = _alike(names, videos)
        longer = [index for index in alike if counts[index] < len(parts[index])]
        if not longer:
            break
        for index in longer:
            counts[index] += 1
    if alike:
        several = ", ".join(str(found[whole[index]][0]) for index in alike[:4])
        raise MediaError(f"{several}: their results would get the same name. Rename one, or predict them apart.")
    return names


def _alike(names: Sequence[str], videos: Sequence[bool]) -> list[int]:
    """Which names are the same, or lie in what will be the folder of a video."""
    owners: defaultdict[str, list[int]] = defaultdict(list)
    for index, name in enumerate(names):
        owners[_key(name)].append(index)
    folders = {_key(name) for name, video in zip(names, videos, strict=True) if video}
    for index, name in enumerate(names):
        for parent in PurePosixPath(name).parents:
            if _key(parent) in folders:
                owners[_key(parent)].append(index)
    return sorted({index for group in owners.values() if len(group) > 1 for index in group})


def _key(name: object) -> str:
    # Not every file system tells A from a.
    return str(name).casefold()


def count_frames(sources: Iterable[Source], every: int) -> int | None:
    """How many frames `read_frames` will give, as the videos' headers say; None if one does not say."""
    total = 0
    for source in sources:
        if source.is_video:
            try:
                capture = _open_video(source.path)
            except MediaError:
                continue  # said where its frames are read
            count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
            capture.release()
            if count < 1:
                return None
            total += -(-count // every)
        else:
            total += 1
    return total


def read_frames(source: Source, every: int = 1) -> Iterator[Frame]:
    """Read a picture, or each `every`th frame of a video, one at a time.

    Pictures are read as for training. Turned is what asks for it: a picture by its EXIF, a video by its header.

    Raises:
        MediaError: if it cannot be read, or a video ends before its time; the frames before are given first.
    """
    if source.is_video:
        for index, pixels in _read_video(source.path, every):
            yield Frame(pixels, source.path, index, f"{source.name}/{index:06d}")
    else:
        try:
            pixels = read_image(source.path)
        except CorruptionError as error:
            raise MediaError(f"{source.path}: {error}") from None
        yield Frame(pixels, source.path, name=source.name)


def _read_video(path: Path, every: int) -> Iterator[tuple[int, Pixels]]:
    capture = _open_video(path)
    try:
        width, height = (int(capture.get(key)) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        if width * height > MAX_PIXELS:
            raise MediaError(f"{path}: frames of {width}x{height} pixels; expected at most {MAX_PIXELS:,} in all.")
        index, seconds = 0, 0.0
        while capture.grab():
            if index % every == 0:
                done, pixels = capture.retrieve()
                if not done:
                    raise MediaError(f"{path}: frame {index} cannot be decoded; the frames before it can.")
                yield index, cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
            index, seconds = index + 1, capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if index == 0:
            raise MediaError(f"{path}: not one frame can be decoded. Copy or convert the file again.")
        promised, rate = capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)
        # Some headers hold a rate and a duration alone, from which the count is a guess: a video is torn if both fall short.
        if index < 0.98 * promised - 1 and rate > 0 and seconds < 0.98 * promised / rate - 2 / rate:
            raise MediaError(
                f"{path}: torn, or damaged after frame {index - 1}; {index} frames could be decoded, expected {promised:.0f}."
            )
    finally:
        capture.release()


def _open_video(path: Path) -> cv2.VideoCapture:
    """Open a video file that holds its frames itself.

    FFmpeg tells what a file is by its content, and some kinds name other files and addresses to read on from: playlists, and tracks
    of a QuickTime file that lie elsewhere. Here it takes known containers alone, from this file alone.
    """
    try:
        with open_regular(path) as stream:
            start = stream.read(_START)
    except OSError as error:
        raise MediaError(f"{path}: {error.strerror}.") from None
    if not _is_container(start):
        raise MediaError(
            f"{path}: not a readable video: its content is none of MP4, QuickTime, AVI, Matroska, WebM, MPEG and WMV. Copy or convert "
            "the file again."
        )
    with _options_for_ffmpeg():
        # Of a relative name such as concat:a.avi FFmpeg would take the first part for a protocol.
        capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise MediaError(f"{path}: not a readable video, or not whole. Copy or convert the file again.")
    return capture


@contextmanager
def _options_for_ffmpeg() -> Iterator[None]:
    """Hand options to FFmpeg in the one way that OpenCV has. What the caller's own code opens afterwards does without them again."""
    with _ONE_AT_A_TIME:
        before = os.environ.get(_OPTIONS)
        os.environ[_OPTIONS] = _FFMPEG_OPTIONS
        try:
            yield
        finally:
            if before is None:
                del os.environ[_OPTIONS]
            else:
                os.environ[_OPTIONS] = before


def _is_container(start: bytes) -> bool:
    boxes = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")  # what an MP4 or QuickTime file begins with
    return (
        start[4:8] in boxes
        or (start[:4] == b"RIFF" and start[8:11] == b"AVI")
        or start.startswith((b"\x1a\x45\xdf\xa3", b"\0\0\1\xba", b"\0\0\1\xb3", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"))
        # MPEG transport streams are packets of 188 bytes, with a time before each on cameras' discs.
        or any(start[at::size][:2] == b"GG" for at, size in ((0, 188), (4, 192)))
    )
