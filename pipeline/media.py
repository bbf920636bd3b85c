"""Pictures and videos that somebody gives: found, named, read frame by frame; and what a model says of a frame, painted on it."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

import cv2
import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pipeline.datasets.labels import Rgb, plain_labels
from pipeline.errors import InputError
from pipeline.files import walk
from pipeline.images import MAX_BYTES, MAX_PIXELS, Pixels, read_rgb

_TRAINED_ON = (".png", ".jpg", ".jpeg")
PICTURES = (*_TRAINED_ON, ".bmp", ".tif", ".tiff", ".webp")
VIDEOS = (".mp4", ".m4v", ".avi", ".mkv", ".mov", ".webm", ".mpg", ".mpeg", ".wmv")


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
    """One picture, or one frame of a video (index counts from 0, None for a picture): uint8 RGB (H, W, 3)."""

    source: Source
    index: int | None
    pixels: Pixels

    @property
    def name(self) -> str:
        """Where its results lie: that of a picture, or a number in the folder of its video."""
        return self.source.name if self.index is None else f"{self.source.name}/{self.index:06d}"


def find_sources(inputs: Sequence[Path]) -> list[Source]:
    """The pictures and videos among files and below folders, in the order of the inputs and sorted below each.

    Files that are hidden or something else are passed over in folders. What is given twice counts once.

    Raises:
        InputError: if an input is missing or of another kind, a folder has nothing to read, or names cannot be told apart.
    """
    found: dict[Path, tuple[Path, int]] = {}  # by whole path: as given, and how many of its parts name it
    for given in inputs:
        if given.is_dir():
            paths = sorted(folder / name for folder, _, names in walk(given) for name in names if _is_media(name))
            if not paths:
                raise InputError(f"{given}: no picture or video in this folder. Expected files that end in {_KNOWN}.")
        elif not given.is_file():
            raise InputError(f"{given}: no such file or folder. Expected a picture, a video, or a folder of them.")
        elif given.suffix.lower() not in PICTURES + VIDEOS:
            raise InputError(
                f"{given}: neither a picture nor a video by its name. Expected a file that ends in {_KNOWN}."
            )
        else:
            paths = [given]
        for path in paths:
            depth = len(path.relative_to(given).parts) or 1
            # Links are not resolved: their names count. A part `..` would lead out of the folder of the results.
            found.setdefault(Path(os.path.normpath(path.absolute())), (path, depth))
    names = _names(found)
    return [Source(path, name) for (path, _), name in zip(found.values(), names, strict=True)]


_KNOWN = ", ".join(PICTURES + VIDEOS)


def _is_media(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in PICTURES + VIDEOS


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
        raise InputError(f"{several}: their results would get the same name. Rename one, or predict them apart.")
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
            capture = cv2.VideoCapture(str(source.path), cv2.CAP_FFMPEG)
            if capture.isOpened():
                count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
                if count < 1:
                    return None
                total += -(-count // every)
            capture.release()
        else:
            total += 1
    return total


def read_frames(source: Source, every: int = 1) -> Iterator[Frame]:
    """Read a picture, or each `every`th frame of a video, one at a time.

    A PNG or JPEG is read as for training. Pixels come as stored: an orientation that a picture's EXIF asks for is not applied,
    one that a video's header asks for is.

    Raises:
        InputError: if it cannot be read, or a video ends before its time; the frames before are given first.
    """
    if source.is_video:
        for index, pixels in _read_video(source.path, every):
            yield Frame(source, index, pixels)
    elif source.path.suffix.lower() in _TRAINED_ON:
        yield Frame(source, None, read_rgb(source.path))
    else:
        yield Frame(source, None, _read_other(source.path))


def _read_other(path: Path) -> Pixels:
    """A picture in a format that no dataset comes in, with the bounds of those that do."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: {path.stat().st_size:,} bytes; expected a picture of at most {MAX_BYTES:,}.")
        with Image.open(path, formats=("PNG", "JPEG", "BMP", "TIFF", "WEBP")) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise InputError(
                    f"{path}: claims {picture.width}x{picture.height} pixels; expected at most {MAX_PIXELS:,} in all."
                )
            pages = getattr(picture, "n_frames", 1)
            if pages != 1:
                raise InputError(f"{path}: holds {pages} pictures; expected one. Save them as single files.")
            if picture.mode not in ("RGB", "RGBA", "L", "P"):
                raise InputError(f"{path}: mode {picture.mode}; expected 8-bit RGB, RGBA, grey or palette.")
            return np.asarray(picture.convert("RGB"))
    except InputError:
        raise
    except Exception as error:  # whatever a decoder trips over, it is the file that is wrong
        said = str(error) or type(error).__name__
        raise InputError(f"{path}: not a readable picture ({said}). Copy or extract the file again.") from None


def _read_video(path: Path, every: int) -> Iterator[tuple[int, Pixels]]:
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        if not capture.isOpened():
            raise InputError(f"{path}: not a readable video, or not whole. Copy or convert the file again.")
        width, height = (int(capture.get(key)) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        if width * height > MAX_PIXELS:
            raise InputError(f"{path}: frames of {width}x{height} pixels; expected at most {MAX_PIXELS:,} in all.")
        index, seconds = 0, 0.0
        while capture.grab():
            if index % every == 0:
                done, pixels = capture.retrieve()
                if not done:
                    raise InputError(f"{path}: frame {index} cannot be decoded; the frames before it can.")
                yield index, cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
            index, seconds = index + 1, capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if index == 0:
            raise InputError(f"{path}: not one frame can be decoded. Copy or convert the file again.")
        promised, rate = capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)
        # Some headers hold a rate and a duration alone, from which the count is a guess: a video is torn if both fall short.
        if index < 0.98 * promised - 1 and rate > 0 and seconds < 0.98 * promised / rate - 2 / rate:
            raise InputError(
                f"{path}: torn, or damaged after frame {index - 1}; {index} frames could be decoded, expected {promised:.0f}."
            )
    finally:
        capture.release()


def distinct_palette(classes: Sequence[str]) -> tuple[Rgb, ...]:
    """A colour a class, the first black: seven as any dataset of one's own has them, then each far from all before it."""
    chosen: list[Rgb] = list(plain_labels(classes[:8], ()).palette)
    if len(classes) > len(chosen):
        steps = np.linspace(0, 255, 12).round().astype(np.uint8)
        cube = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
        cube = cube[_lab(cube)[:, 0] >= 30]  # what is darker looks like a shadow
        distance = np.full(len(cube), np.inf)
        for taken in (*chosen, *_NOT_FOR_CLASSES):
            distance = np.minimum(distance, _distance(cube, taken))
        while len(chosen) < len(classes):
            red, green, blue = cube[int(distance.argmax())].tolist()
            chosen.append((red, green, blue))
            distance = np.minimum(distance, _distance(cube, chosen[-1]))
    return tuple(chosen)


# Tissue, and what shines on it.
_NOT_FOR_CLASSES: tuple[Rgb, ...] = ((150, 60, 50), (255, 255, 255))


def _lab(colours: Pixels) -> NDArray[np.float32]:
    """Colours (N, 3) in CIELAB, where equal distances look about equal."""
    return np.asarray(cv2.cvtColor(colours[None].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0], np.float32)


def _distance(colours: Pixels, colour: Rgb) -> NDArray[np.float32]:
    """Of each colour (N, 3) to one, as it looks."""
    return np.asarray(np.linalg.norm(_lab(colours) - _lab(np.array([colour], np.uint8)), axis=1), np.float32)


# In pixels: a painted picture is at least so wide, and its letters at least so high.
_LEAST, _LEAST_TEXT = 320, 14
_COVER = 0.42  # how much of a class's colour hides the picture
_LEGEND_ROWS = 3  # at most; the largest regions come first
_GROUND, _LETTERS, _TRACK = (22, 22, 22), (240, 240, 240), (70, 70, 70)


@cache
def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    # DejaVu comes with matplotlib and has the letters of most languages.
    return ImageFont.truetype(f"{mpl.get_data_path()}/fonts/ttf/DejaVuSans{'-Bold' if bold else ''}.ttf", size)


@dataclass(frozen=True)
class Painter:
    """Paints what a model says of a frame; every frame of one size gives a picture of one size.

    classes, palette: name and colour of each class id, the background first; both empty without segmentation.
    """

    classes: tuple[str, ...] = ()
    palette: tuple[Rgb, ...] = ()

    def paint(self, pixels: Pixels, mask: Pixels | None, caption: tuple[str, float] | None) -> Pixels:
        """The frame with its classes in colour and outlined, above a strip that names them: uint8 RGB.

        Args:
            pixels: uint8 RGB (H, W, 3). mask: class ids uint8 (H, W), or None. caption: the activity and its probability, or None.
        """
        height, width = pixels.shape[:2]
        # Small frames are enlarged and narrow ones set in black, so that the strip's words fit.
        scale = max(1, _LEAST // max(height, width))
        if scale > 1:
            size = (width * scale, height * scale)
            pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_NEAREST_EXACT)
            mask = None if mask is None else cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT)
            width, height = size
        picture = pixels if mask is None else self._colour(pixels, mask)
        strip = self._strip(max(width, _LEAST), max(_LEAST_TEXT, min(width, height) // 40), mask, caption)
        if width < _LEAST:
            left = (_LEAST - width) // 2
            picture = cv2.copyMakeBorder(
                picture, 0, 0, left, _LEAST - width - left, cv2.BORDER_CONSTANT, value=(0, 0, 0)
            )
        return np.concatenate([picture, strip])

    def _colour(self, pixels: Pixels, mask: Pixels) -> Pixels:
        table = np.zeros((1, 256, 3), np.uint8)
        table[0, : len(self.palette)] = self.palette
        colours = cv2.LUT(cv2.merge([mask, mask, mask]), table)
        painted = cv2.addWeighted(pixels, 1 - _COVER, colours, _COVER, 0)
        # A line inside each region in its colour, and a dark one around it, are seen on any ground.
        reach = 2 * max(1, min(mask.shape) // 340) + 1
        kernel = np.ones((reach, reach), np.uint8)
        highest, lowest = cv2.dilate(mask, kernel), cv2.erode(mask, kernel)
        background, edge = cv2.compare(mask, 0, cv2.CMP_EQ), cv2.compare(highest, lowest, cv2.CMP_NE)
        cv2.copyTo(pixels, background, painted)
        cv2.copyTo(cv2.convertScaleAbs(pixels, alpha=0.3), background & edge, painted)
        cv2.copyTo(colours, cv2.bitwise_not(background) & edge, painted)
        return painted

    def _strip(self, width: int, size: int, mask: Pixels | None, caption: tuple[str, float] | None) -> Pixels:
        """The strip below a frame: uint8 RGB (rows, width, 3), as high for any mask and any caption."""
        font, row, margin = _font(size), round(1.6 * size), round(0.6 * size)
        inner = width - 2 * margin
        rows = min(_LEGEND_ROWS, len(_flow([_item_width(name, font) for name in self.classes[1:]], inner)))
        top = margin // 2 + (2 * row - size // 3 if caption else 0)
        strip = Image.new("RGB", (width, top + rows * row + margin // 2), _GROUND)
        draw = ImageDraw.Draw(strip)
        if caption:
            _draw_caption(draw, caption, (margin, margin // 2, inner), size)
        if mask is not None:
            counts = cv2.calcHist([mask], [0], None, [256], [0, 256]).ravel()
            present = [int(index) for index in np.argsort(-counts, kind="stable") if index > 0 and counts[index] > 0]
            items = [(self.classes[index], self.palette[index]) for index in present]
            _draw_legend(draw, items, (margin, top, inner), size, rows)
        return np.asarray(strip)


def _draw_caption(
    draw: ImageDraw.ImageDraw, caption: tuple[str, float], place: tuple[int, int, int], size: int
) -> None:
    """The activity and its probability, and below them the probability as a bar; place is left, top and width."""
    (activity, probability), (left, top, width) = caption, place
    row, middle = round(1.6 * size), top + round(0.8 * size)
    share = f"{100 * probability:.1f} %"
    draw.text((left + width, middle), share, _LETTERS, _font(size), anchor="rm")
    bold = _font(size, bold=True)
    activity = _shorten(activity, bold, width - _font(size).getlength(share) - size)
    draw.text((left, middle), activity, _LETTERS, bold, anchor="lm")
    bar = top + row + size // 8
    thick = max(3, size // 5)
    draw.rectangle((left, bar, left + width - 1, bar + thick), fill=_TRACK)
    draw.rectangle((left, bar, left + round(probability * (width - 1)), bar + thick), fill=_LETTERS)


def _draw_legend(
    draw: ImageDraw.ImageDraw, items: Sequence[tuple[str, Rgb]], place: tuple[int, int, int], size: int, rows: int
) -> None:
    """Names beside squares of their colours, in at most so many rows, and how many there was no room for."""
    font, row, (left, top, width) = _font(size), round(1.6 * size), place
    note = 2 * size  # kept free for the count
    names = [_shorten(name, font, width - note - _item_width("", font)) for name, _ in items]
    widths = [_item_width(name, font) for name in names]
    lines = _flow(widths, width)
    left_out = sum(len(line) for line in lines[rows:])
    lines = lines[:rows]
    if left_out:
        while sum(widths[index] for index in lines[-1]) > width - note:
            lines[-1].pop()
            left_out += 1
        draw.text((left + width, top + round((rows - 0.5) * row)), f"+{left_out}", _LETTERS, font, anchor="rm")
    for number, line in enumerate(lines):
        x, y, side = left, top + number * row, round(0.8 * size)
        for index in line:
            draw.rectangle((x, y + side // 2, x + side, y + side // 2 + side), fill=items[index][1])
            draw.text((x + round(1.3 * size), y + row // 2), names[index], _LETTERS, font, anchor="lm")
            x += widths[index]


def _item_width(name: str, font: ImageFont.FreeTypeFont) -> int:
    """Of a legend's square with its name and the space to the next, in pixels."""
    return round(2.3 * font.size + font.getlength(name))


def _flow(widths: Sequence[int], room: int) -> list[list[int]]:
    """The indices of items in lines, each as full as it gets."""
    lines: list[list[int]] = []
    used = 0
    for index, width in enumerate(widths):
        if not lines or used + width > room:
            lines.append([])
            used = 0
        lines[-1].append(index)
        used += width
    return lines


def _shorten(words: str, font: ImageFont.FreeTypeFont, room: float) -> str:
    """The words, or as many of their letters as there is room for."""
    if font.getlength(words) <= room:
        return words
    while words and font.getlength(f"{words}…") > room:
        words = words[:-1]
    return f"{words}…"
