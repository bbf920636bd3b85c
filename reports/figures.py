"""Figures 5 and 6: predictions beside the truth, and scores against severity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from reports.names import model_label
from reports.results import CELL, corrupted_scores
from reports.style import STYLE, overlay, save_figure

_METRICS = {"accuracy": "Accuracy (%)", "miou": "mIoU (%)"}
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


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


def draw_severity(results: pd.DataFrame, titles: dict[str, str], mark: str, png: Path, pdf: Path) -> None:
    """Figure 6: accuracy and mIoU against severity, mean over the corruptions, one line a cell; severity 0 is clean.

    Args:
        results: the long table. titles: readable dataset names. mark: what every figure says of its data.
        png, pdf: files to write.
    """
    corrupted = corrupted_scores(results)
    metrics = [metric for metric in _METRICS if (corrupted["metric"] == metric).any()]
    cells = corrupted[["eval_dataset", *CELL]].drop_duplicates()
    clean = results[(results["corruption"] == "") & (results["class"] == "")]
    colours = sns.color_palette("colorblind", len(cells))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.2 * len(metrics) + 0.4, 3.9), layout="constrained")
        panels = figure.subplots(1, len(metrics), squeeze=False)[0]
        for axes, metric in zip(panels, metrics, strict=True):
            for index, cell in enumerate(cells.itertuples(index=False)):
                match = dict(zip(["eval_dataset", *CELL], cell, strict=True)) | {"metric": metric}
                rows = _matching(corrupted, match)
                if rows.empty:
                    continue
                line = rows.groupby("severity")["value"].mean()
                line.loc[0] = _matching(clean, match)["value"].mean()
                line = 100 * line.sort_index()
                dataset, backbone, architecture, weighting = cell
                name = model_label(backbone, architecture, weighting)
                if cells["eval_dataset"].nunique() > 1:
                    name += f" ({titles.get(dataset, dataset)})"
                axes.plot(line.index, line, color=colours[index], marker=_MARKERS[index % len(_MARKERS)], label=name)
            axes.set(xlabel="severity (0: clean)", ylabel=_METRICS[metric], xticks=range(6))
            axes.set_ylim(0, 102)
            axes.grid(alpha=0.25)
        handles, names = panels[-1].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=1, fontsize=8, frameon=False)
        count = corrupted["corruption"].nunique()
        names = ", ".join(titles.get(dataset, dataset) for dataset in cells["eval_dataset"].unique())
        figure.suptitle(f"{names}: mean over {count} corruptions\n{mark}", fontsize=8, color="0.3")
        save_figure(figure, png, pdf)


def _matching(rows: pd.DataFrame, match: dict[str, object]) -> pd.DataFrame:
    chosen = pd.Series(True, index=rows.index)
    for column, value in match.items():
        chosen &= rows[column] == value
    return rows[chosen]
