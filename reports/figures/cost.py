"""Draws the figure of scores against cost: trained parameters and inference speed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from endoarss.metrics.catalogue import Shown, shown_metrics
from reports.figures.style import (
    MARKERS,
    PAGE,
    SMALL,
    STYLE,
    head_height,
    log_ticks,
    place,
    save_figure,
    text_width,
    write_head,
)

COLUMNS = ["dataset", "backbone", "architecture", "rank", "parameters", "images_per_second", "device"]
COLUMNS += shown_metrics(Shown.SUMMARY)
_COSTS = {"parameters": "trained parameters (millions)", "images_per_second": "inference (images/s)"}
_ROW, _AXIS = 1.6, 0.45  # inches: the height of a row of panels, and the width of the axis of a pair of panels
_MARKER_SIZE = 4.5  # points
_LABEL_SIZE = 6  # points: the font size of a marker's label
_OUTLINE = [withStroke(linewidth=0.7, foreground="white")]  # keeps a label readable on top of another marker
# Colour and the filled side of the marker identify a backbone.
Looks = dict[tuple[str, str], dict[str, Any]]
_FILLS: tuple[Any, ...] = ("full", "none", "left", "top", "right", "bottom")


def draw_cost(costs: pd.DataFrame, caption: str, png: Path, pdf: Path) -> None:
    """Draw accuracy and mIoU against trained parameters and against images per second.

    There is one row of panels per dataset and one marker per training. Markers that would hide one another are drawn side by side. Where
    models differ only in the rank of their adapters, each is labelled with its rank.

    Args:
        costs: `COLUMNS`, one row per training and dataset; scores from 0 to 1, NaN where a model does not give them.
        caption: The caption that describes the figure's data.
        png: PNG file to write.
        pdf: PDF file to write.
    """
    costs = costs.assign(label=_rank_labels(costs))
    looks = _looks(costs)
    datasets = list(costs["dataset"].unique())
    heads = {name: metric.head for name, metric in shown_metrics(Shown.SUMMARY).items()}
    metrics = [name for name in heads if costs[name].notna().any()]
    panels = [(metric, cost) for metric in metrics for cost in _COSTS]
    explanation = "Each marker is one training. Markers that would hide one another are moved sideways."
    if costs["label"].any():
        explanation += " r4: adapters of rank 4, where models differ in rank."
    caption = f"{explanation} Speed: {', '.join(costs['device'].unique())}.\n{caption}"
    legends = [_with_columns(handles) for handles in _handles(costs, looks)]
    with mpl.rc_context(STYLE | {"xtick.labelsize": SMALL, "ytick.labelsize": SMALL}):
        top = head_height(caption)
        bottom = 0.45 + sum(0.15 * -(-len(handles) // columns) for handles, columns in legends) + 0.05
        figure = Figure(figsize=(PAGE, top + _ROW * len(datasets) + bottom))
        write_head(figure, caption)
        # The two panels of a metric share its axis.
        pair = (PAGE - 0.05) / len(metrics)
        width = (pair - _AXIS - 0.2) / len(_COSTS)
        for row, dataset in enumerate(datasets):
            of_dataset = costs[costs["dataset"] == dataset]
            for index, (metric, cost) in enumerate(panels):
                group, place_in_group = divmod(index, len(_COSTS))
                left = group * pair + _AXIS + place_in_group * (width + 0.1)
                axes = place(figure, left, top + row * _ROW + 0.2, width, _ROW - 0.32)
                _prepare(axes, costs, of_dataset, metric, cost)
                _draw_points(axes, of_dataset, metric, cost, looks)
                if place_in_group == 0:
                    axes.set_ylabel(heads[metric], fontsize=7, labelpad=1.5)
                else:
                    axes.tick_params(labelleft=False)
                if index == 0:
                    axes.set_title(dataset, fontsize=8, fontweight="bold", loc="left", pad=4)
                if row == len(datasets) - 1:
                    axes.set_xlabel(_COSTS[cost], fontsize=7, labelpad=2)
                else:
                    axes.tick_params(labelbottom=False)
        _draw_legends(figure, legends, bottom - 0.45)
        save_figure(figure, png, pdf)


def _draw_legends(figure: Figure, legends: Sequence[tuple[Sequence[Line2D], int]], bottom: float) -> None:
    """Draw legends below each other.

    Args:
        figure: The figure.
        legends: Handles and number of columns of each legend.
        bottom: Distance in inches from the lower edge of the figure to the upper edge of the first legend.
    """
    for handles, columns in legends:
        figure.legend(
            handles=handles,
            loc="upper center",
            bbox_to_anchor=(0.5, bottom / float(figure.get_figheight())),
            ncols=columns,
            fontsize=7,
            frameon=False,
            borderaxespad=0,
            borderpad=0,
            columnspacing=1.4,
            handletextpad=0.3,
        )
        bottom -= 0.15 * -(-len(handles) // columns)


def _rank_labels(costs: pd.DataFrame) -> pd.Series:
    """Return a label such as "r4" for each row whose dataset, backbone and architecture have several ranks, "" for the other rows."""
    ranks = costs.groupby(["dataset", "backbone", "architecture"])["rank"].transform("nunique")
    return costs["rank"].map("r{}".format).where(ranks > 1, "")


def _with_columns(handles: Sequence[Line2D]) -> tuple[Sequence[Line2D], int]:
    """Return the handles of a legend and its number of columns."""
    widest = text_width([str(handle.get_label()) for handle in handles], 7) + 0.45
    rows = -(-len(handles) // max(1, int((PAGE - 0.2) / widest)))
    return handles, -(-len(handles) // rows)


def _looks(costs: pd.DataFrame) -> Looks:
    """Return the marker style of each pair of backbone and architecture."""
    backbones, architectures = list(costs["backbone"].unique()), list(costs["architecture"].unique())
    colours = sns.color_palette("colorblind", len(backbones))
    return {
        (backbone, architecture): {
            "color": colours[b],
            "fillstyle": _FILLS[b % len(_FILLS)],
            "marker": MARKERS[a % len(MARKERS)],
            "markersize": _MARKER_SIZE,
            "markerfacecoloralt": "white",
            "markeredgewidth": 0.9,
            "linestyle": "",
        }
        for b, backbone in enumerate(backbones)
        for a, architecture in enumerate(architectures)
    }


def _draw_points(axes: Any, costs: pd.DataFrame, metric: str, cost: str, looks: Looks) -> None:
    """Draw the markers, best scores first. The limits of the axes must already be set."""
    known = costs.dropna(subset=[metric, cost]).sort_values(metric, ascending=False, kind="stable")
    exact = axes.transData.transform(np.column_stack([_scale(cost) * known[cost], 100 * known[metric]]))
    apart, panel = (_MARKER_SIZE + 1) * axes.figure.dpi / 72, axes.get_window_extent()
    points = side_by_side(exact, apart, (panel.x0 + apart / 2, panel.x1 - apart / 2))
    for row, point in zip(known.to_dict("records"), axes.transData.inverted().transform(points), strict=True):
        axes.plot(*point, **looks[row["backbone"], row["architecture"]])
        if row["label"]:
            below = {"xytext": (0, -0.6 * _MARKER_SIZE), "textcoords": "offset points", "ha": "center", "va": "top"}
            axes.annotate(row["label"], point, **below, fontsize=_LABEL_SIZE, path_effects=_OUTLINE)


def side_by_side(points: NDArray[np.float64], apart: float, within: tuple[float, float]) -> NDArray[np.float64]:
    """Return the points, each moved along the first axis by the smallest step that keeps it apart from the points before it.

    Args:
        points: Positions (N, 2).
        apart: The smallest allowed distance between two points.
        within: Lower and upper end of the first axis; a point leaves this range only if it has no free place inside.
    """
    placed: list[NDArray[np.float64]] = []
    for x, y in points:
        near = [other for other in placed if abs(other[1] - y) < apart]
        # Places where the point would just touch another point at its height; at least one of them is free.
        reach = [float(np.sqrt(apart**2 - (other[1] - y) ** 2)) for other in near]
        edges = [other[0] + side * r for other, r in zip(near, reach, strict=True) for side in (-1, 1)]
        free = [
            at
            for at in (x, *edges)
            if all(abs(at - other[0]) >= r - 1e-9 for other, r in zip(near, reach, strict=True))
        ]
        inside = [at for at in free if within[0] <= at <= within[1]]
        placed.append(np.array([min(inside or free, key=lambda at: (abs(at - x), at)), y]))
    return np.array(placed).reshape(-1, 2)


def _scale(cost: str) -> float:
    return 1e-6 if cost == "parameters" else 1.0


def _prepare(axes: Any, costs: pd.DataFrame, of_dataset: pd.DataFrame, metric: str, cost: str) -> None:
    """Set limits and ticks: the same x axis in all rows; a y axis that fits the row and stays within 0 to 100 %."""
    scores = 100 * of_dataset[metric].dropna()
    low, high = (scores.min(), scores.max()) if len(scores) else (0.0, 100.0)
    room = max(0.12 * (high - low), 1 - (high - low) / 2)
    bottom, top = low - room, high + room
    axes.grid(alpha=0.25)
    axes.tick_params(pad=2, length=2.5)
    values = costs.loc[costs[metric].notna(), cost].dropna()
    if cost == "parameters":
        low, high = 1e-6 * values.min(), 1e-6 * values.max()
        spread = max((high / low) ** 0.12, 1.2)
        axes.set_xscale("log")
        axes.set_xlim(low / spread, high * spread)
        ticks = log_ticks(low / spread, high * spread)
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
    else:
        axes.set_xlim(-0.04 * values.max(), 1.12 * values.max())
        axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.set_ylim(max(bottom, -5), min(top, 105))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]))
    axes.set_yticks([tick for tick in axes.get_yticks() if max(bottom, 0) <= tick <= min(top, 100)])


def _handles(costs: pd.DataFrame, looks: Looks) -> tuple[list[Line2D], list[Line2D]]:
    """Return the handles of both legends: grey shapes for architectures; colours and fill styles for backbones."""
    backbones, architectures = costs["backbone"].unique(), costs["architecture"].unique()
    grey = {"color": "0.35", "fillstyle": "full"}
    shapes = [Line2D([], [], **(looks[backbones[0], name] | grey), label=name) for name in architectures]
    circle = {"marker": "o"}
    return shapes, [Line2D([], [], **(looks[name, architectures[0]] | circle), label=name) for name in backbones]
