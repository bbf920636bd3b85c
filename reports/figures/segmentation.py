"""Draws figures 2 and 5: predicted masks compared with the ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from reports.figures.style import (
    LINE,
    PAGE,
    SMALL,
    STYLE,
    head_height,
    overlay,
    place,
    save_figure,
    text_width,
    wrapped,
    write_head,
)
from reports.statistics.ignored import IGNORED, IGNORED_COLOUR, IGNORED_NAME

# Inches: the width of the names left of the pictures, the gap between pictures, the largest and smallest width of a picture, and the
# largest height of a figure. A figure of this height and its caption fit on a printed page without scaling.
_NAMES, _GAP = 0.84, 0.05
_LARGEST, _SMALLEST = 1.3, 0.5
_MAX_HEIGHT = 8.9
_LEGEND_LINE = 1.35 * LINE
# Points: a class shows its number if one of its pixels is at least this far from the edge of the class.
_MIN_DEPTH = 3.0


@dataclass(frozen=True)
class Gallery:
    """Some images of a dataset with the true masks and the masks that models predict.

    Attributes:
        title: The title above the images.
        classes: The class names of the dataset.
        palette: The RGB colours of the classes.
        images: N square RGB images with S pixels per side, uint8 (N, S, S, 3).
        masks: Masks by the name of their row, uint8 (N, S, S) each; the ground truth is first.
        notes: The text above each image.
        aspect: Height of an image in the figure, divided by its width.
    """

    title: str
    classes: Sequence[str]
    palette: Sequence[Sequence[int]]
    images: NDArray[np.uint8]
    masks: dict[str, NDArray[np.uint8]]
    notes: Sequence[str]
    aspect: float = 1.0

    @property
    def shown(self) -> list[int]:
        """Return the classes that occur in the masks, without the background; `IGNORED` is last if it occurs."""
        return sorted({int(i) for mask in self.masks.values() for i in np.unique(mask)} - {0})

    def name_of(self, value: int) -> str:
        """Return the name of a mask value in the legend."""
        return IGNORED_NAME if value == IGNORED else self.classes[value]

    def colour_of(self, value: int) -> Sequence[int]:
        """Return the colour of a mask value in the legend."""
        return IGNORED_COLOUR if value == IGNORED else self.palette[value]


def draw_segmentation(galleries: Sequence[Gallery], caption: str, png: Path, pdf: Path) -> None:
    """Draw image, ground truth and predictions below each other, with one block of columns per dataset and two blocks side by side.

    The colour of a class and the number on it identify the class.

    Args:
        galleries: One gallery per block.
        caption: The caption that describes the figure's data.
        png: PNG file to write.
        pdf: PDF file to write.
    """
    across = min(2, len(galleries))
    columns = max(len(gallery.images) for gallery in galleries)
    pitch = min(_LARGEST, (PAGE / across - _NAMES - 0.15) / columns)
    while pitch > _SMALLEST and _whole_height(galleries, across, pitch, caption) > _MAX_HEIGHT:
        pitch -= 0.01
    room = _block_width(galleries, across, pitch)
    with mpl.rc_context(STYLE):
        top = head_height(caption, across * room)
        figure = Figure(figsize=(across * room, _whole_height(galleries, across, pitch, caption)))
        write_head(figure, caption)
        for line in _lines(galleries, across):
            sizes = [_Size(gallery, pitch, room) for gallery in line]
            # The pictures of blocks that are side by side begin at the same height.
            head = max(size.head for size in sizes)
            for place_in_line, (gallery, size) in enumerate(zip(line, sizes, strict=True)):
                _draw_gallery(figure, gallery, size, place_in_line * room, top, head)
            top += _line_height(sizes)
        save_figure(figure, png, pdf)


def _lines(galleries: Sequence[Gallery], across: int) -> list[Sequence[Gallery]]:
    return [galleries[at : at + across] for at in range(0, len(galleries), across)]


def _block_width(galleries: Sequence[Gallery], across: int, pitch: float) -> float:
    """Return the width of a block in inches: half a page, or as wide as pictures and legend need if there is only one block."""
    columns = max(len(gallery.images) for gallery in galleries)
    return PAGE / across if across > 1 else max(_NAMES + columns * pitch + 0.15, 0.6 * PAGE)


def _whole_height(galleries: Sequence[Gallery], across: int, pitch: float, caption: str) -> float:
    room = _block_width(galleries, across, pitch)
    lines = [[_Size(gallery, pitch, room) for gallery in line] for line in _lines(galleries, across)]
    return head_height(caption, across * room) + sum(map(_line_height, lines))


def _line_height(sizes: Sequence[_Size]) -> float:
    return max(size.head for size in sizes) + max(size.rows + size.legend for size in sizes) + 0.12


class _Size:
    """The size of a block in inches, and its wrapped texts."""

    def __init__(self, gallery: Gallery, pitch: float, room: float) -> None:
        self.pitch = pitch
        self.title = wrapped(gallery.title, room - 0.15, 7.5, bold=True)
        self.notes = [wrapped(note, pitch - 0.01) for note in gallery.notes]
        self.names = [wrapped(name, _NAMES - 0.12) for name in ("image", *gallery.masks)]
        notes = 1 + max(note.count("\n") for note in self.notes)
        self.head = 0.125 * (1 + self.title.count("\n")) + LINE * notes + 0.08
        self.picture = (pitch - _GAP) * gallery.aspect
        lines = 1 + max(name.count("\n") for name in self.names)
        self.row = max(self.picture + _GAP, LINE * lines + 0.03)
        self.rows = self.row * len(self.names)
        self.classes = {
            i: f"{'' if i == IGNORED else f'{i}  '}{wrapped(gallery.name_of(i), room - 0.6)}" for i in gallery.shown
        }
        named = list(self.classes.values())
        self.across = max(1, min(len(named), int((room - 0.1) / (text_width(named) + 0.27))))
        high = 1 + max((name.count("\n") for name in named), default=0)
        self.legend = -(-len(named) // self.across) * (_LEGEND_LINE + LINE * (high - 1)) + 0.06


def _draw_gallery(figure: Figure, gallery: Gallery, size: _Size, left: float, top: float, head: float) -> None:
    width, total_height = figure.get_figwidth(), figure.get_figheight()
    figure.text((left + 0.05) / width, 1 - top / total_height, size.title, fontsize=7.5, fontweight="bold", va="top")
    for row, (name, masks) in enumerate(zip(size.names, (None, *gallery.masks.values()), strict=True)):
        upper = top + head + row * size.row
        middle = 1 - (upper + size.picture / 2) / total_height
        figure.text(
            (left + _NAMES - 0.05) / width, middle, name, fontsize=SMALL, ha="right", va="center", linespacing=1.1
        )
        for column, (image, note) in enumerate(zip(gallery.images, size.notes, strict=True)):
            start = left + _NAMES + column * size.pitch
            axes = place(figure, start, upper, size.pitch - _GAP, size.picture)
            _draw_picture(axes, image, None if masks is None else masks[column], gallery.palette)
            if row == 0:
                axes.set_title(note, fontsize=SMALL, pad=2.5, linespacing=1.1)
    figure.legend(
        handles=[
            Patch(color="#{:02x}{:02x}{:02x}".format(*gallery.colour_of(i)), label=n) for i, n in size.classes.items()
        ],
        loc="upper left",
        bbox_to_anchor=((left + 0.05) / width, 1 - (top + head + size.rows + 0.02) / total_height),
        ncols=size.across,
        borderaxespad=0,
        fontsize=SMALL,
        frameon=False,
        handlelength=1.2,
        borderpad=0,
        handletextpad=0.5,
        columnspacing=1.0,
    )


def _draw_picture(
    axes: Any, image: NDArray[np.uint8], mask: NDArray[np.uint8] | None, palette: Sequence[Sequence[int]]
) -> None:
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.imshow(image if mask is None else overlay(image, mask, palette), interpolation="nearest", aspect="auto")
    if mask is None:
        return
    points = 72 * axes.figure.get_figwidth() * axes.get_position().width / mask.shape[1]
    for index in sorted({int(i) for i in np.unique(mask)} - {0, IGNORED}):
        # The number is at the pixel farthest from the edge of the class. The padding makes the picture's edge count as such an edge.
        depth = distance_transform_edt(np.pad(mask == index, 1))[1:-1, 1:-1]
        y, x = np.unravel_index(int(depth.argmax()), depth.shape)
        if depth[y, x] * points >= _MIN_DEPTH:
            number = axes.text(x, y, str(index), fontsize=SMALL, ha="center", va="center", color="black")
            number.set_path_effects([withStroke(linewidth=1.4, foreground="white")])
