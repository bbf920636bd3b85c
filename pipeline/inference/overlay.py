"""Draw predictions over frames: classes in distinct colours with outlines, above a strip with the activity and the names of classes."""

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
    """Return one colour per class: black, seven colours as in a user's own datasets, then colours that differ from all earlier ones."""
    palette: list[Rgb] = list(plain_labels(classes[:8], ()).palette)
    if len(classes) > len(palette):
        steps = np.linspace(0, 255, 12).round().astype(np.uint8)
        cube = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
        cube = cube[_lab(cube)[:, 0] >= 30]  # darker colours look like shadows
        distance = np.full(len(cube), np.inf)
        for colour in (*palette, *_NOT_FOR_CLASSES):
            distance = np.minimum(distance, _distance(cube, colour))
        while len(palette) < len(classes):
            red, green, blue = cube[int(distance.argmax())].tolist()
            palette.append((red, green, blue))
            distance = np.minimum(distance, _distance(cube, palette[-1]))
    return tuple(palette)


# The colours of tissue and of reflections on it.
_NOT_FOR_CLASSES: tuple[Rgb, ...] = ((150, 60, 50), (255, 255, 255))


def _lab(colours: Pixels) -> NDArray[np.float32]:
    """Return colours (N, 3) in CIELAB, where equal distances look about equal."""
    return np.asarray(cv2.cvtColor(colours[None].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0], np.float32)


def _distance(colours: Pixels, colour: Rgb) -> NDArray[np.float32]:
    """Return the distances (N,) of colours (N, 3) to one colour, in CIELAB."""
    return np.asarray(np.linalg.norm(_lab(colours) - _lab(np.array([colour], np.uint8)), axis=1), np.float32)


_MIN_WIDTH, _MIN_TEXT_HEIGHT = 320, 14  # pixels, of an overlay
_OPACITY = 0.42  # of the colours of classes
_LEGEND_ROWS = 3  # at most; the classes with the largest regions come first
_BACKGROUND, _TEXT, _BAR = (22, 22, 22), (240, 240, 240), (70, 70, 70)  # colours of the strip


@cache
def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    # DejaVu comes with matplotlib and has the letters of most languages.
    return ImageFont.truetype(f"{mpl.get_data_path()}/fonts/ttf/DejaVuSans{'-Bold' if bold else ''}.ttf", size)


@dataclass(frozen=True)
class OverlayDrawer:
    """Draws the predictions of a model over frames. All frames of one size give overlays of one size.

    Attributes:
        classes: name of each class id, the background first; empty without segmentation.
        palette: colour of each class id.
    """

    classes: tuple[str, ...] = ()
    palette: tuple[Rgb, ...] = ()

    def draw(self, pixels: Pixels, mask: Pixels | None, caption: tuple[str, float] | None) -> Pixels:
        """Return a frame with coloured and outlined classes, above a strip with the activity and the names of classes, as uint8 RGB.

        Args:
            pixels: the frame, uint8 RGB (H, W, 3).
            mask: class ids, uint8 (H, W), or None.
            caption: the activity and its probability, or None.
        """
        height, width = pixels.shape[:2]
        # Small frames are enlarged, and narrow ones get black borders, so that the text of the strip fits.
        scale = max(1, _MIN_WIDTH // max(height, width))
        if scale > 1:
            size = (width * scale, height * scale)
            pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_NEAREST_EXACT)
            mask = None if mask is None else cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT)
            width, height = size
        overlay = pixels if mask is None else self._colour(pixels, mask)
        strip = self._strip(max(width, _MIN_WIDTH), max(_MIN_TEXT_HEIGHT, min(width, height) // 40), mask, caption)
        if width < _MIN_WIDTH:
            left = (_MIN_WIDTH - width) // 2
            overlay = cv2.copyMakeBorder(
                overlay, 0, 0, left, _MIN_WIDTH - width - left, cv2.BORDER_CONSTANT, value=(0, 0, 0)
            )
        return np.concatenate([overlay, strip])

    def _colour(self, pixels: Pixels, mask: Pixels) -> Pixels:
        table = np.zeros((256, 1, 3), np.uint8)
        table[: len(self.palette), 0] = self.palette
        colours = cv2.applyColorMap(mask, table)
        coloured = cv2.addWeighted(pixels, 1 - _OPACITY, colours, _OPACITY, 0)
        # Each region has a line in its colour inside and a dark line around it, so that its outline is visible on any background.
        thickness = 2 * max(1, min(mask.shape) // 340) + 1
        background = cv2.compare(mask, 0, cv2.CMP_EQ)
        edge = cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((thickness, thickness), np.uint8))
        cv2.copyTo(pixels, background, coloured)
        cv2.copyTo(cv2.convertScaleAbs(pixels, alpha=0.3), background & edge, coloured)
        cv2.copyTo(colours, cv2.bitwise_not(background) & edge, coloured)
        return coloured

    def _strip(self, width: int, size: int, mask: Pixels | None, caption: tuple[str, float] | None) -> Pixels:
        """Return the strip below a frame, uint8 RGB (rows, width, 3). Its height does not depend on mask and caption."""
        font, row, margin = _font(size), round(1.6 * size), round(0.6 * size)
        inner = width - 2 * margin
        rows = min(_LEGEND_ROWS, len(_flow([_item_width(name, font) for name in self.classes[1:]], inner)))
        top = margin // 2 + (2 * row - size // 3 if caption else 0)
        strip = Image.new("RGB", (width, top + rows * row + margin // 2), _BACKGROUND)
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
    """Draw the activity and its probability, and below them the probability as a bar. place: left, top and width in pixels."""
    (activity, probability), (left, top, width) = caption, place
    row, middle = round(1.6 * size), top + round(0.8 * size)
    share = f"{100 * probability:.1f} %"
    draw.text((left + width, middle), share, _TEXT, _font(size), anchor="rm")
    bold = _font(size, bold=True)
    activity = _shorten(activity, bold, width - _font(size).getlength(share) - size)
    draw.text((left, middle), activity, _TEXT, bold, anchor="lm")
    bar = top + row + size // 8
    thick = max(3, size // 5)
    draw.rectangle((left, bar, left + width - 1, bar + thick), fill=_BAR)
    draw.rectangle((left, bar, left + round(probability * (width - 1)), bar + thick), fill=_TEXT)


def _draw_legend(
    draw: ImageDraw.ImageDraw, items: Sequence[tuple[str, Rgb]], place: tuple[int, int, int], size: int, rows: int
) -> None:
    """Draw squares of colour with their names in at most `rows` rows, and the number of names that do not fit."""
    font, row, (left, top, width) = _font(size), round(1.6 * size), place
    note = 2 * size  # pixels that stay free for this number
    names = [_shorten(name, font, width - note - _item_width("", font)) for name, _ in items]
    widths = [_item_width(name, font) for name in names]
    lines = _flow(widths, width)
    left_out = sum(len(line) for line in lines[rows:])
    lines = lines[:rows]
    if left_out:
        while sum(widths[index] for index in lines[-1]) > width - note:
            lines[-1].pop()
            left_out += 1
        draw.text((left + width, top + round((rows - 0.5) * row)), f"+{left_out}", _TEXT, font, anchor="rm")
    for number, line in enumerate(lines):
        x, y, side = left, top + number * row, round(0.8 * size)
        for index in line:
            draw.rectangle((x, y + side // 2, x + side, y + side // 2 + side), fill=items[index][1])
            draw.text((x + round(1.3 * size), y + row // 2), names[index], _TEXT, font, anchor="lm")
            x += widths[index]


def _item_width(name: str, font: ImageFont.FreeTypeFont) -> int:
    """Return the width in pixels of a square of the legend, its name, and the space to the next square."""
    return round(2.3 * font.size + font.getlength(name))


def _flow(widths: Sequence[int], room: int) -> list[list[int]]:
    """Return indices of items by line, with as many items per line as fit into `room` pixels."""
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
    """Return a text, shortened if it is wider than `room` pixels."""
    if font.getlength(words) <= room:
        return words
    while words and font.getlength(f"{words}…") > room:
        words = words[:-1]
    return f"{words}…"
