"""Draws the figure of confusion matrices: activities are counted in images, classes in pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from reports.figures.style import (
    PAGE,
    SMALL,
    STYLE,
    annotate,
    head_height,
    place,
    save_figure,
    text_width,
    wrapped,
    write_head,
)

COLOURS = "mako_r"  # large shares are dark, so that an empty matrix stays light on paper
_CELL, _SMALLEST_CELL = 0.34, 0.175  # inches: the side of a cell, and the smallest side if matrices are side by side


@dataclass(frozen=True)
class Confusion:
    """One confusion matrix.

    Attributes:
        title: The title above the matrix.
        names: The names of the C activities or classes.
        matrix: int64 (C, C); rows are the ground truth, columns are the predictions.
        counts: Whether cells show counts; otherwise they show percent of their row.
    """

    title: str
    names: Sequence[str]
    matrix: NDArray[np.int64]
    counts: bool


def draw_confusions(panels: Sequence[Confusion], title: str, caption: str, png: Path, pdf: Path) -> None:
    """Draw matrices side by side, or one below the other if the page is too narrow. Colour shows the share of the row.

    Args:
        panels: At least one matrix.
        title: The title; it names the dataset.
        caption: The caption that describes the figure's data.
        png: PNG file to write.
        pdf: PDF file to write.
    """
    caption = f"Colour: share of the row. Rows without truth are hatched.\n{caption}"
    room = PAGE - 0.1 - sum(_Size(panel, 0).left + 0.12 for panel in panels)
    cell = min(_CELL, room / sum(len(panel.names) for panel in panels))
    sizes = [_Size(panel, cell) for panel in panels]
    side_by_side = cell >= _SMALLEST_CELL and sum(size.width for size in sizes) <= PAGE - 0.09
    if not side_by_side:
        rooms = [PAGE - 0.22 - _Size(panel, 0).left for panel in panels]
        cells = [min(_CELL, room / len(panel.names)) for panel, room in zip(panels, rooms, strict=True)]
        sizes = [_Size(panel, max(cell, 0.01)) for panel, cell in zip(panels, cells, strict=True)]
    width = max(PAGE, *(size.width + 0.1 for size in sizes))
    with mpl.rc_context(STYLE | {"hatch.linewidth": 0.5}):
        top = head_height(caption, width) + 0.24
        heights = [size.height for size in sizes]
        figure = Figure(figsize=(width, top + (max(heights) if side_by_side else sum(heights))))
        write_head(figure, caption)
        figure.text(
            0.05 / width, 1 - (top - 0.22) / figure.get_figheight(), title, fontsize=8, fontweight="bold", va="top"
        )
        left = 0.05
        for panel, size in zip(panels, sizes, strict=True):
            side = size.cell * len(panel.names)
            axes = place(figure, left + size.left, top + size.head, side, side)
            _draw_matrix(axes, panel, size)
            left, top = (left + size.width, top) if side_by_side else (left, top + size.height)
        save_figure(figure, png, pdf)


class _Size:
    """The size of a panel in inches, and the texts of its classes."""

    def __init__(self, panel: Confusion, cell: float) -> None:
        support = panel.matrix.sum(axis=1)
        self.columns = [wrapped(name.replace("_", " "), 1.15) for name in panel.names]
        self.rows = [
            f"{name} ({count:,})" if panel.counts else name for name, count in zip(self.columns, support, strict=True)
        ]
        largest = [f"{panel.matrix.max():,}"] if panel.counts else ["100"]
        lines = 1 + max(name.count("\n") for name in self.columns)
        self.cell = max(cell, text_width(largest) + 0.04, 0.088 * lines) if cell else 0.0
        self.left = text_width(self.rows) + 0.24
        self.head = 0.32 if "\n" in panel.title else 0.22
        self.width = max(self.left + self.cell * len(self.rows), text_width([panel.title], 7.5) + 0.1) + 0.12
        self.height = self.head + self.cell * len(self.rows) + text_width(self.columns) + 0.36


def _draw_matrix(axes: Axes, panel: Confusion, size: _Size) -> None:
    support = panel.matrix.sum(axis=1, keepdims=True)
    share = np.divide(panel.matrix, support, out=np.zeros(panel.matrix.shape), where=support > 0)
    if panel.counts:
        texts = np.array([[f"{value:,}" if value else "" for value in row] for row in panel.matrix], object)
    else:
        texts = np.array([[_percent(value) for value in row] for row in share], object)
    sns.heatmap(
        share,
        ax=axes,
        vmin=0,
        vmax=1,
        cmap=COLOURS,
        mask=np.broadcast_to(support == 0, share.shape),
        cbar=False,
        linewidths=0.4,
        linecolor="white",
    )
    annotate(axes, np.where(support > 0, texts, ""))
    for row in np.flatnonzero(support == 0).tolist():
        axes.axhspan(row, row + 1, facecolor="white", edgecolor="0.7", hatch="////", linewidth=0)
        middle = axes.text(len(share) / 2, row + 0.5, "no truth", fontsize=SMALL, ha="center", va="center")
        middle.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1})
    ticks = np.arange(len(share)) + 0.5
    axes.set_yticks(ticks, size.rows, fontsize=SMALL, rotation=0, linespacing=1.0)
    axes.set_xticks(ticks, size.columns, fontsize=SMALL, rotation=90, linespacing=1.0)
    axes.tick_params(length=0, pad=2)
    axes.set_title(panel.title, fontsize=7.5, loc="left", pad=4, x=-(size.left - 0.06) / (size.cell * len(share)))
    axes.set_xlabel("predicted", fontsize=7)
    axes.set_ylabel("truth", fontsize=7)


def _percent(share: float) -> str:
    """Return a share as percent: "" for 0, and "<1" instead of "0" for a small share."""
    if share == 0:
        return ""
    return "<1" if share < 0.005 else f"{100 * share:.0f}"
