"""Figure 5: predictions beside the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from reports.style import STYLE, overlay, save_figure


@dataclass(frozen=True)
class Gallery:
    """What figure 5 shows of one dataset.

    title, classes, palette: of the dataset. images: uint8 (N, S, S, 3). masks: column title -> uint8 (N, S, S), the truth
    first. notes: what is said below each image.
    """

    title: str
    classes: Sequence[str]
    palette: Sequence[Sequence[int]]
    images: NDArray[np.uint8]
    masks: dict[str, NDArray[np.uint8]]
    notes: Sequence[str]


def draw_segmentation(galleries: Sequence[Gallery], mark: str, png: Path, pdf: Path) -> None:
    """Figure 5: image, truth and predictions, one block of rows a dataset.

    Args:
        galleries: one a dataset. mark: what every figure says of its data. png, pdf: files to write.
    """
    rows = [len(gallery.images) for gallery in galleries]
    columns = max(len(gallery.masks) for gallery in galleries) + 1
    with mpl.rc_context(STYLE):
        heights = [count * 1.55 + 0.91 for count in rows]
        figure = Figure(figsize=(1.55 * columns + 0.4, sum(heights) + 0.41))
        top = 1 - 0.36 / figure.get_figheight()
        figure.text(0.5, 1 - 0.16 / figure.get_figheight(), mark, ha="center", va="center", fontsize=8, color="0.3")
        for gallery, height in zip(galleries, heights, strict=True):
            bottom = top - height / figure.get_figheight()
            _draw_gallery(figure, gallery, columns, top, bottom)
            top = bottom
        save_figure(figure, png, pdf)


def _draw_gallery(figure: Figure, gallery: Gallery, columns: int, top: float, bottom: float) -> None:
    head, foot = 0.50 / figure.get_figheight(), 0.36 / figure.get_figheight()
    count = len(gallery.images)
    grid = figure.add_gridspec(
        count, columns, left=0.04, right=0.99, top=top - head, bottom=bottom + foot, wspace=0.04, hspace=0.06
    )
    for row in range(count):
        pictures = [("image", gallery.images[row])]
        pictures += [
            (name, overlay(gallery.images[row], mask[row], gallery.palette)) for name, mask in gallery.masks.items()
        ]
        for column, (name, picture) in enumerate(pictures):
            axes = figure.add_subplot(grid[row, column])
            axes.imshow(picture, interpolation="nearest")
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
            if row == 0:
                axes.set_title(name, fontsize=7.5, pad=3)
            if column == 0:
                axes.set_ylabel(gallery.notes[row], fontsize=6.5, labelpad=2)
    shown = sorted({int(i) for mask in gallery.masks.values() for i in np.unique(mask)} - {0})
    patches = [Patch(color="#{:02x}{:02x}{:02x}".format(*gallery.palette[i]), label=gallery.classes[i]) for i in shown]
    figure.text(0.04, top - 0.02 / figure.get_figheight(), gallery.title, fontsize=9, fontweight="bold", va="top")
    figure.legend(
        handles=patches,
        ncols=max(1, len(patches)),
        loc="center",
        bbox_to_anchor=(0.5, bottom + 0.5 * foot),
        fontsize=6.5,
        frameon=False,
        handlelength=1.0,
        columnspacing=1.0,
    )
