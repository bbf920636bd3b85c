"""Figures 2 and 5: predicted masks beside the truth."""

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

from reports.style import LINE, PAGE, SMALL, STYLE, head_height, overlay, place, save_figure, wrapped, write_head

# Inches: what is left of the pictures, and their legend to the right.
_NOTES, _LEGEND = 0.46, 1.4
_GAP = 0.05
# A number stands on a class that is at least so many points deep.
_DEEP = 3.0


@dataclass(frozen=True)
class Gallery:
    """Some images of a dataset under several models.

    title: said above. classes, palette: of the dataset. images: uint8 (N, S, S, 3). masks: column title -> uint8 (N, S, S), the
    truth first. notes: what is said beside each image, a line each. aspect: height of a picture by its width.
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
        """The classes but the background that some mask has."""
        return sorted({int(i) for mask in self.masks.values() for i in np.unique(mask)} - {0})


def draw_segmentation(galleries: Sequence[Gallery], mark: str, png: Path, pdf: Path) -> None:
    """Image, truth and predictions, one block of rows a dataset. A class is told by its colour and by the number on it.

    Args:
        galleries: one a block. mark: what every figure says of its data. png, pdf: files to write.
    """
    columns = max(len(gallery.masks) for gallery in galleries) + 1
    pitch = min(1.5, (PAGE - _NOTES - _LEGEND - 0.05) / columns)
    width = _NOTES + columns * pitch + _LEGEND + 0.05
    with mpl.rc_context(STYLE):
        top = head_height(mark, width)
        heights = [_height(gallery, pitch, width) for gallery in galleries]
        figure = Figure(figsize=(width, top + sum(heights)))
        write_head(figure, mark)
        for gallery, height in zip(galleries, heights, strict=True):
            _draw_gallery(figure, gallery, pitch, top)
            top += height
        save_figure(figure, png, pdf)


def _title(gallery: Gallery, width: float) -> str:
    return wrapped(gallery.title, width - 0.15, 7.5, bold=True)


def _heads(gallery: Gallery, pitch: float) -> list[str]:
    return [wrapped(name, pitch - 0.08) for name in ("image", *gallery.masks)]


def _head_height(gallery: Gallery, pitch: float, width: float) -> float:
    lines = 1 + max(name.count("\n") for name in _heads(gallery, pitch))
    return 0.125 * (1 + _title(gallery, width).count("\n")) + LINE * lines + 0.05


def _height(gallery: Gallery, pitch: float, width: float) -> float:
    rows = len(gallery.images) * ((pitch - _GAP) * gallery.aspect + _GAP)
    legend = (len(gallery.shown) + 1) * 1.35 * LINE
    return _head_height(gallery, pitch, width) + max(rows, legend) + 0.12


def _draw_gallery(figure: Figure, gallery: Gallery, pitch: float, top: float) -> None:
    across, down = figure.get_figwidth(), figure.get_figheight()
    title = _title(gallery, across)
    figure.text(0.05 / across, 1 - top / down, title, fontsize=7.5, fontweight="bold", va="top")
    first = top + _head_height(gallery, pitch, across)
    height = (pitch - _GAP) * gallery.aspect
    for row, image in enumerate(gallery.images):
        masks = [None, *(mask[row] for mask in gallery.masks.values())]
        for column, (head, mask) in enumerate(zip(_heads(gallery, pitch), masks, strict=True)):
            axes = place(figure, _NOTES + column * pitch, first + row * (height + _GAP), pitch - _GAP, height)
            _draw_picture(axes, image, mask, gallery.palette)
            if row == 0:
                axes.set_title(head, fontsize=SMALL, pad=2.5, linespacing=1.1)
            if column == 0:
                axes.set_ylabel(gallery.notes[row], fontsize=SMALL, labelpad=3, linespacing=1.15)
    named = {i: f"{i}  {wrapped(gallery.classes[i], _LEGEND - 0.45)}" for i in gallery.shown}
    figure.legend(
        handles=[Patch(color="#{:02x}{:02x}{:02x}".format(*gallery.palette[i]), label=n) for i, n in named.items()],
        loc="upper left",
        bbox_to_anchor=((_NOTES + (1 + len(gallery.masks)) * pitch) / across, 1 - first / down),
        borderaxespad=0,
        fontsize=SMALL,
        frameon=False,
        handlelength=1.2,
        borderpad=0,
        handletextpad=0.5,
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
    for index in sorted({int(i) for i in np.unique(mask)} - {0}):
        # Where the class is deepest; the frame of zeros keeps the number off the picture's edge.
        depth = distance_transform_edt(np.pad(mask == index, 1))[1:-1, 1:-1]
        y, x = np.unravel_index(int(depth.argmax()), depth.shape)
        if depth[y, x] * points >= _DEEP:
            number = axes.text(x, y, str(index), fontsize=SMALL, ha="center", va="center", color="black")
            number.set_path_effects([withStroke(linewidth=1.4, foreground="white")])
