"""Draws the figure of the scores of every class and activity, with one bar per model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from reports.figures.style import (
    HATCHES,
    LINE,
    PAGE,
    SMALL,
    STYLE,
    head_height,
    place,
    save_figure,
    text_width,
    wrapped,
    write_head,
)

_BAR = 0.095  # inches: the height of a bar, which is that of the number at its end
NO_TRUTH = "no truth"


Looks = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class ClassScores:
    """One panel of the figure.

    Attributes:
        title: The panel's title.
        shares: Scores from 0 to 1 (classes x models), NaN where a score is not defined.
        support: Number of images with each class, in the order of the rows.
    """

    title: str
    shares: pd.DataFrame
    support: Sequence[int]


def draw_class_scores(panels: Sequence[ClassScores], title: str, caption: str, png: Path, pdf: Path) -> None:
    """Draw one group of bars per class and one bar per model, with the panels side by side.

    Args:
        panels: At least one panel.
        title: The title; it names the dataset.
        caption: The caption that describes the figure's data.
        png: PNG file to write.
        pdf: PDF file to write.
    """
    models = list(dict.fromkeys(str(name) for panel in panels for name in panel.shares.columns))
    looks: Looks = {
        name: {"facecolor": colour, "hatch": HATCHES[i % len(HATCHES)], "edgecolor": "white", "linewidth": 0.4}
        for i, (name, colour) in enumerate(zip(models, sns.color_palette("colorblind", len(models)), strict=True))
    }
    width = (PAGE - 0.1) / len(panels)
    labels = [_labels(panel, 0.42 * width) for panel in panels]
    lines_of_label = max(name.count("\n") for of_panel in labels for name in of_panel)
    pitch = max(0.08 + _BAR * len(models), LINE * (1.4 + lines_of_label))
    rows = max(len(panel.shares) for panel in panels) * pitch
    with mpl.rc_context(STYLE | {"hatch.linewidth": 0.5}):
        top = head_height(caption)
        keys = [wrapped(name, PAGE - 0.6) for name in models]
        columns = 2 if len(models) > 2 and text_width(keys) < PAGE / 2 - 0.5 else 1
        lines = sum(1 + key.count("\n") for key in keys[::columns])
        top_of_bars = top + 0.2 + LINE * 1.4 * lines + 0.2
        height = top_of_bars + rows + 0.38
        figure = Figure(figsize=(PAGE, height))
        write_head(figure, caption)
        figure.text(0.05 / PAGE, 1 - top / height, title, fontsize=8, fontweight="bold", va="top")
        figure.legend(
            handles=[Patch(**look, label=key) for key, look in zip(keys, looks.values(), strict=True)],
            loc="upper left",
            bbox_to_anchor=(0.05 / PAGE, 1 - (top + 0.2) / height),
            ncols=columns,
            fontsize=SMALL,
            frameon=False,
            borderaxespad=0,
            borderpad=0,
            handlelength=2.4,
            handleheight=0.9,
        )
        for index, (panel, names) in enumerate(zip(panels, labels, strict=True)):
            left = text_width(names) + 0.1
            bars = (width - left - 0.25, len(panel.shares) * pitch)
            axes = place(figure, 0.05 + index * width + left, top_of_bars, *bars)
            _draw_bars(axes, panel, looks)
            axes.set_yticks(np.arange(len(names)), names, fontsize=SMALL, linespacing=1.1)
            axes.set_title(panel.title, fontsize=7.5, loc="left", pad=3)
        save_figure(figure, png, pdf)


def _labels(panel: ClassScores, inches: float) -> list[str]:
    """Return each class name with the number of images that have the class below it."""
    names = [wrapped(str(name).replace("_", " "), inches) for name in panel.shares.index]
    return [f"{name}\n(n = {count:,})" for name, count in zip(names, panel.support, strict=True)]


def _draw_bars(axes: Axes, panel: ClassScores, looks: Looks) -> None:
    classes, models = panel.shares.shape
    for index, name in enumerate(panel.shares.columns):
        value = 100 * panel.shares[name].to_numpy(float)
        has_score = (np.asarray(panel.support) > 0) & np.isfinite(value)
        places = np.arange(classes) + (index - (models - 1) / 2) * 0.84 / models
        axes.barh(places[has_score], value[has_score], 0.84 / models, **looks[name])
        for y, x in zip(places[has_score], value[has_score], strict=True):
            axes.text(x + 1, y, f"{x:.0f}", fontsize=6, va="center_baseline")
    for index, count in enumerate(panel.support):
        if count == 0:
            axes.text(1, index, NO_TRUTH, fontsize=SMALL, va="center", fontstyle="italic", color="0.3")
    axes.set(xlim=(0, 108), ylim=(classes - 0.5, -0.5), xticks=range(0, 101, 25))
    axes.set_xlabel("%", fontsize=SMALL, labelpad=1)
    axes.tick_params(axis="x", labelsize=SMALL, length=2.5, pad=2)
    axes.tick_params(axis="y", length=0, pad=3)
    axes.grid(alpha=0.25, axis="x")
    axes.set_axisbelow(True)
