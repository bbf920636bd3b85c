"""Predictions painted over pictures: colours that can be told apart, outlines, a caption below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pipeline.io.images import Pixels
from pipeline.labels.classes import Rgb, plain_labels


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
        table = np.zeros((256, 1, 3), np.uint8)
        table[: len(self.palette), 0] = self.palette
        colours = cv2.applyColorMap(mask, table)
        painted = cv2.addWeighted(pixels, 1 - _COVER, colours, _COVER, 0)
        # A line inside each region in its colour, and a dark one around it, are seen on any ground.
        reach = 2 * max(1, min(mask.shape) // 340) + 1
        background = cv2.compare(mask, 0, cv2.CMP_EQ)
        edge = cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((reach, reach), np.uint8))
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
