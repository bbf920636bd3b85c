"""Find the images and videos of a user, name their results, and read them frame by frame."""

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

_OPTIONS_VARIABLE = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
# FFmpeg may read only these containers. It may not open files or addresses that a container names.
_FFMPEG_OPTIONS = "|".join(
    (
        "format_whitelist;mov,mp4,m4a,3gp,3g2,mj2,avi,matroska,webm,mpeg,mpegts,mpegvideo,asf",
        "protocol_whitelist;file",
        "enable_drefs;0",
    )
)
_OPTIONS_LOCK = Lock()
_START = 512  # bytes that identify a container
_SUFFIXES = ", ".join(PICTURES + VIDEOS)


@dataclass(frozen=True)
class Source:
    """One image file or video.

    Attributes:
        path: the file, as the user gave it.
        name: the path of its results in the output folder; no other source has the same name.
    """

    path: Path
    name: str

    @property
    def is_video(self) -> bool:
        """Whether the suffix is that of a video."""
        return self.path.suffix.lower() in VIDEOS


@dataclass(frozen=True)
class Frame:
    """One image, from a file or an array, or one frame of a video.

    Attributes:
        pixels: uint8 RGB (H, W, 3).
        path: the image file or video; None for an array.
        index: the number of the frame in its video, counted from 0; None for an image.
        name: the path of its results in the output folder: the name of the image file, or a number in the folder of the video.
    """

    pixels: Pixels
    path: Path | None = None
    index: int | None = None
    name: str = ""


def find_sources(inputs: Sequence[Path]) -> list[Source]:
    """Return the images and videos among files and below folders, each with a unique name.

    Args:
        inputs: files and folders. A file that is given twice counts once.

    Returns:
        The sources in the order of the inputs; those of one folder are sorted.

    Raises:
        MediaError: as `find_files`, or if two sources would get the same name.
    """
    # By absolute path: the path as given, and how many of its last parts the name should have.
    files: dict[Path, tuple[Path, int]] = {}
    for given in inputs:
        for path in find_files(given):
            depth = len(path.relative_to(given).parts) or 1
            # Links are not resolved, because results have the links' names. `..` is removed: it would lead out of the output folder.
            files.setdefault(Path(os.path.normpath(path.absolute())), (path, depth))
    return [Source(path, name) for (path, _), name in zip(files.values(), _unique_names(files), strict=True)]


def find_files(file_or_folder: Path) -> list[Path]:
    """Return an image or video, or all images and videos below a folder, sorted. Hidden and other files in the folder are skipped.

    Raises:
        MediaError: if the input does not exist or is another kind of file, or the folder has no image and no video.
    """
    if file_or_folder.is_dir():
        files = (
            folder / name for folder, _, names in walk(file_or_folder) for name in names if not name.startswith(".")
        )
        paths = sorted(path for path in files if path.suffix.lower() in PICTURES + VIDEOS)
        if not paths:
            raise MediaError(
                f"{file_or_folder}: no image or video in this folder. Expected files that end in {_SUFFIXES}."
            )
        return paths
    if not file_or_folder.exists():
        raise MediaError(f"{file_or_folder}: no such file or folder. Expected an image, a video, or a folder of them.")
    if file_or_folder.suffix.lower() not in PICTURES + VIDEOS:
        raise MediaError(
            f"{file_or_folder}: neither an image nor a video by its name. Expected a file that ends in {_SUFFIXES}."
        )
    return [file_or_folder]


def _unique_names(files: Mapping[Path, tuple[Path, int]]) -> list[str]:
    """Return a name for each file: the last parts of its path, and more of them where two names would be the same.

    An image's name has no suffix, unless another image in the folder differs only in the suffix. A video's name has the suffix.

    Raises:
        MediaError: if two files would get the same name.
    """
    absolute = list(files)
    videos = [path.suffix.lower() in VIDEOS for path in absolute]
    pictures = Counter(_folded(path.with_suffix("")) for path, video in zip(absolute, videos, strict=True) if not video)
    parts = []
    for path, video in zip(absolute, videos, strict=True):
        needs_suffix = not video and pictures[_folded(path.with_suffix(""))] > 1
        last = path.name if video else f"{path.stem}_{path.suffix[1:]}" if needs_suffix else path.stem
        parts.append((*path.parts[1:-1], last))
    lengths = [depth for _, depth in files.values()]
    while True:
        names = ["/".join(part[-length:]) for part, length in zip(parts, lengths, strict=True)]
        clashing = _clashing(names, videos)
        extensible = [index for index in clashing if lengths[index] < len(parts[index])]
        if not extensible:
            break
        for index in extensible:
            lengths[index] += 1
    if clashing:
        shown = ", ".join(str(files[absolute[index]][0]) for index in clashing[:4])
        raise MediaError(
            f"{shown}: their results would get the same name. Rename one, or predict them in separate runs."
        )
    return names


def _clashing(names: Sequence[str], videos: Sequence[bool]) -> list[int]:
    """Return the positions of names that are equal, or that lie in what will be the folder of a video."""
    owners: defaultdict[str, list[int]] = defaultdict(list)
    for index, name in enumerate(names):
        owners[_folded(name)].append(index)
    folders = {_folded(name) for name, video in zip(names, videos, strict=True) if video}
    for index, name in enumerate(names):
        for parent in PurePosixPath(name).parents:
            if _folded(parent) in folders:
                owners[_folded(parent)].append(index)
    return sorted({index for group in owners.values() if len(group) > 1 for index in group})


def _folded(name: object) -> str:
    """Return a name in lower case, because some file systems do not distinguish A from a."""
    return str(name).casefold()


def count_frames(sources: Iterable[Source], every: int) -> int | None:
    """Return how many frames `read_frames` will yield, as the videos' headers say; None if a header has no number of frames."""
    total = 0
    for source in sources:
        if source.is_video:
            try:
                capture = _open_video(source.path)
            except MediaError:
                continue  # read_frames reports the error
            count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
            capture.release()
            if count < 1:
                return None
            total += -(-count // every)
        else:
            total += 1
    return total


def read_frames(source: Source, every: int = 1) -> Iterator[Frame]:
    """Yield an image, or each `every`-th frame of a video.

    Images are read as in training. An image is rotated as its EXIF orientation says, a video as its header says.

    Raises:
        MediaError: if the file cannot be read, or a video ends too early; the frames before the fault are yielded first.
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
    """Yield the number and the pixels of each `every`-th frame."""
    capture = _open_video(path)
    try:
        width, height = (int(capture.get(key)) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        if width * height > MAX_PIXELS:
            raise MediaError(
                f"{path}: its frames have {width}x{height} pixels; expected at most {MAX_PIXELS:,} per frame."
            )
        index, seconds = 0, 0.0
        while capture.grab():
            if index % every == 0:
                decoded, pixels = capture.retrieve()
                if not decoded:
                    raise MediaError(f"{path}: frame {index} cannot be decoded; the frames before it can.")
                yield index, cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
            index, seconds = index + 1, capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if index == 0:
            raise MediaError(f"{path}: not one frame can be decoded. Copy or convert the file again.")
        promised, rate = capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)
        # Some headers hold only a rate and a duration, so the count is an estimate. Frames are missing only if seconds are missing too.
        if index < 0.98 * promised - 1 and rate > 0 and seconds < 0.98 * promised / rate - 2 / rate:
            raise MediaError(
                f"{path}: incomplete, or damaged after frame {index - 1}; {index} frames could be decoded, expected {promised:.0f}."
            )
    finally:
        capture.release()


def _open_video(path: Path) -> cv2.VideoCapture:
    """Open a video file. The file itself must contain the frames.

    FFmpeg recognises a file by its content. Some kinds make it read other files and addresses: playlists, and QuickTime files whose
    tracks are stored elsewhere. Here it accepts only known containers and reads only this file.
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
        # FFmpeg would take the start of a relative name such as concat:a.avi for a protocol.
        capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise MediaError(f"{path}: not a readable video, or incomplete. Copy or convert the file again.")
    return capture


@contextmanager
def _options_for_ffmpeg() -> Iterator[None]:
    """Set the environment variable that passes FFmpeg's options through OpenCV. It applies to videos that are opened in the block."""
    with _OPTIONS_LOCK:
        before = os.environ.get(_OPTIONS_VARIABLE)
        os.environ[_OPTIONS_VARIABLE] = _FFMPEG_OPTIONS
        try:
            yield
        finally:
            if before is None:
                del os.environ[_OPTIONS_VARIABLE]
            else:
                os.environ[_OPTIONS_VARIABLE] = before


def _is_container(start: bytes) -> bool:
    """Return whether a file begins as one of the containers that FFmpeg may read."""
    boxes = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")  # the first box of MP4 and QuickTime files
    return (
        start[4:8] in boxes
        or (start[:4] == b"RIFF" and start[8:11] == b"AVI")
        or start.startswith((b"\x1a\x45\xdf\xa3", b"\0\0\1\xba", b"\0\0\1\xb3", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"))
        # MPEG transport streams are packets of 188 bytes; in files of cameras, 4 bytes of time precede each packet.
        or any(start[offset::size][:2] == b"GG" for offset, size in ((0, 188), (4, 192)))
    )
