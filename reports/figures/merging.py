"""Draws the figures of merging: scores against bias without and with Surgery, and projected representations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from endoarss.metrics.catalogue import ACCURACY, MAIN, MIOU, metrics_by_name
from reports.figures.style import (
    MARKERS,
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
from reports.names import merged_label
from reports.statistics.merging import INDIVIDUAL, JOINT

# Column of the bias (horizontal axis), column of the score (vertical axis), and title.
_PANELS = (
    ("bias_activity", ACCURACY, "activity"),
    ("bias_segmentation", MIOU, "segmentation"),
    ("bias", "mean", "both tasks"),
)
_SCORES = {name: metrics_by_name()[name].head for name in MAIN} | {"mean": "Mean of both (%)"}
_TASKS = ("activity", "segmentation")
_ROW, _AXIS, _GAP = (
    2.15,
    0.5,
    0.55,
)  # inches: the height of a row of panels, the width of its axis, the gap between panels
_MOST_POINTS = 150  # images per model in a panel
Points = NDArray[np.float64]


@dataclass(frozen=True)
class Representations:
    """The representations of the same N test images in individual and merged models: arrays (N, C) of C features.

    Attributes:
        dataset: Title of the dataset.
        backbone: Label of the backbone.
        individual: Representations of the individual models by task.
        merged: Representations of merged models by merger, then by "without" or "with" (Surgery), then by task.
    """

    dataset: str
    backbone: str
    individual: Mapping[str, NDArray[np.float32]]
    merged: Mapping[str, Mapping[str, Mapping[str, NDArray[np.float32]]]]


def draw_bias(rows: pd.DataFrame, rank: int, caption: str, png: Path, pdf: Path) -> None:
    """Draw score against bias, with one arrow per merger from the model without Surgery to the model with Surgery.

    Lines show the individual and the jointly trained models.

    Args:
        rows: The rows of a `Merging`.
        rank: The shown rank of Surgery.
        caption: The caption that describes the figure's data.
        png: PNG file to write.
        pdf: PDF file to write.
    """
    measured = rows[rows["bias"].notna()]  # datasets that are only tested on have no bias
    cases = list(dict.fromkeys(measured[["Dataset", "Backbone"]].itertuples(index=False, name=None)))
    mergers = list(dict.fromkeys(rows.loc[rows["merger"] != "", "merger"]))
    looks = {
        # Each merger has a smaller marker than the one before, so that markers at the same place are all visible.
        merger: {"color": colour, "marker": MARKERS[i % len(MARKERS)], "markersize": max(4.0, 9.0 - 1.2 * i)}
        for i, (merger, colour) in enumerate(zip(mergers, sns.color_palette("colorblind", len(mergers)), strict=True))
    }
    with mpl.rc_context(STYLE | {"xtick.labelsize": SMALL, "ytick.labelsize": SMALL}):
        handles = [Line2D([], [], linestyle="", label=merged_label(m), **look) for m, look in looks.items()]
        handles += [
            Line2D([], [], linestyle="", marker="o", color="0.35", fillstyle="none", label="without Surgery"),
            Line2D([], [], linestyle="", marker="o", color="0.35", label=f"with Surgery, rank {rank}"),
            Line2D([], [], linestyle="--", color="0.2", linewidth=1, label=INDIVIDUAL.lower()),
            Line2D([], [], linestyle=":", color="0.2", linewidth=1.4, label=JOINT.lower()),
        ]
        columns, legend_height = _legend_size(handles)
        top = head_height(caption)
        figure = Figure(figsize=(PAGE, top + _ROW * len(cases) + legend_height))
        write_head(figure, caption)
        width = (PAGE - _AXIS - 0.1 - 2 * _GAP) / 3
        for row, (dataset, backbone) in enumerate(cases):
            of_case = rows[(rows["Dataset"] == dataset) & (rows["Backbone"] == backbone)]
            for index, (bias, score, task) in enumerate(_PANELS):
                axes = place(figure, _AXIS + index * (width + _GAP), top + row * _ROW + 0.25, width, _ROW - 0.65)
                _draw_panel(axes, of_case, bias, score, rank, looks)
                name = f"{dataset}, {backbone}: {task}" if index == 0 else task
                axes.set_title(name, fontsize=8, loc="left", pad=4, fontweight="bold" if index == 0 else "normal")
                axes.set_xlabel("bias (mean L1)", fontsize=7, labelpad=2)
                axes.set_ylabel(_SCORES[score], fontsize=7, labelpad=2)
        _write_legend(figure, handles, columns)
        save_figure(figure, png, pdf)


def _legend_size(handles: Sequence[Line2D]) -> tuple[int, float]:
    """Return the number of columns of the legend and its height in inches."""
    widest = text_width([str(handle.get_label()) for handle in handles], 7) + 0.45
    columns = min(len(handles), max(1, int((PAGE - 0.2) / widest)))
    return columns, 0.1 + 0.16 * -(-len(handles) // columns)


def _write_legend(figure: Figure, handles: Sequence[Line2D], columns: int) -> None:
    figure.legend(
        handles=handles,
        loc="lower center",
        bbox_to_anchor=(0.5, 0.04 / float(figure.get_figheight())),
        ncols=columns,
        fontsize=7,
        frameon=False,
        borderaxespad=0,
        borderpad=0,
        columnspacing=1.2,
        handletextpad=0.3,
    )


def _draw_panel(
    axes: Axes, rows: pd.DataFrame, bias: str, score: str, rank: int, looks: Mapping[str, dict[str, Any]]
) -> None:
    for label, style, width in ((INDIVIDUAL, "--", 1.0), (JOINT, ":", 1.4)):
        for value in rows.loc[rows["Model"].str.startswith(label), score].dropna():
            axes.axhline(value, linestyle=style, color="0.2", linewidth=width, zorder=1)
    for merger, look in looks.items():
        by_rank = rows[rows["merger"] == merger].set_index("rank")
        if 0 not in by_rank.index:
            continue
        axes.plot(by_rank[bias][0], by_rank[score][0], fillstyle="none", linestyle="", zorder=3, **look)
        if rank in by_rank.index:
            end = (by_rank[bias][rank], by_rank[score][rank])
            arrow = {"arrowstyle": "->", "color": look["color"], "lw": 0.9, "shrinkA": 4, "shrinkB": 4}
            axes.annotate("", end, (by_rank[bias][0], by_rank[score][0]), arrowprops=arrow, zorder=2)
            axes.plot(*end, linestyle="", zorder=3, **look)
    axes.set_xlim(left=0, right=1.08 * float(rows[bias].max()))
    low, high = axes.get_ylim()
    if high - low < 2:  # percentage points: a smaller range would draw small differences as steep arrows
        low, high = (low + high) / 2 - 1, (low + high) / 2 + 1
    room = 0.05 * (high - low)
    axes.set_ylim(low - room, min(high + room, 100 + room))
    axes.grid(alpha=0.25)
    axes.tick_params(pad=2, length=2.5)


def draw_representations(cases: Sequence[Representations], rank: int, caption: str, png: Path, pdf: Path) -> None:
    """Draw representations of test images (means over tokens) on their first two principal components.

    There is one row of panels per case and task, and one column per merger. The projection of a row is computed from all its points.

    Args:
        cases: The cases; their mergers may differ.
        rank: The shown rank of Surgery.
        caption: The caption that describes the figure's data.
        png: PNG file to write.
        pdf: PDF file to write.
    """
    columns = max(len(case.merged) for case in cases)
    rows = [(case, task) for case in cases for task in _TASKS]
    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        "individual": ("individual model", {"marker": "o", "s": 9, "color": "0.25", "linewidths": 0}),
        "without": ("merged", {"marker": "x", "s": 12, "color": "#d55e00", "linewidths": 0.8}),
        "with": (
            f"merged, with Surgery of rank {rank}",
            {"marker": "+", "s": 16, "color": "#0072b2", "linewidths": 0.9},
        ),
    }
    with mpl.rc_context(STYLE | {"xtick.labelsize": SMALL, "ytick.labelsize": SMALL}):
        explanation = "Each point is a test image, on the first two principal components of a row. Lines join the points of the same image."
        caption = f"{explanation}\n{caption}"
        handles = [
            Line2D([], [], linestyle="", marker=look["marker"], color=look["color"], markersize=5, label=label)
            for label, look in kinds.values()
        ]
        legend_columns, legend_height = _legend_size(handles)
        top, side = head_height(caption), (PAGE - 0.45) / max(columns, 3)
        titles = {m: wrapped(merged_label(m), side - 0.1, 7) for case in cases for m in case.merged}
        above = 0.15 + 0.12 * (1 + max(title.count("\n") for title in titles.values()))
        figure = Figure(figsize=(PAGE, top + len(rows) * (side + above) + legend_height))
        write_head(figure, caption)
        for row, (case, task) in enumerate(rows):
            shown = {
                m: {kind: by_task[task] for kind, by_task in by_kind.items()} for m, by_kind in case.merged.items()
            }
            projected, share = _project(case.individual[task], shown)
            panels = []
            for column, (merger, points) in enumerate(projected.items()):
                down = top + row * (side + above) + above - 0.03
                axes = place(figure, 0.4 + column * side, down, side - 0.08, side - 0.08)
                panels.append(axes)
                for name, (_, look) in kinds.items():
                    if name in points:
                        axes.scatter(*points[name].T, alpha=0.75, zorder=3, **look)
                _join(axes, points)
                axes.set_title(titles[merger], fontsize=7, pad=2)
                axes.set_xticks([])
                axes.set_yticks([])
                if column == 0:
                    axes.set_ylabel(f"{case.dataset}: {task}\n{share:.0f} % of the variance", fontsize=7, labelpad=3)
            _same_limits(panels)
        _write_legend(figure, handles, legend_columns)
        save_figure(figure, png, pdf)


def _project(
    individual: NDArray[np.float32], merged: Mapping[str, Mapping[str, NDArray[np.float32]]]
) -> tuple[dict[str, dict[str, Points]], float]:
    """Return coordinates on the first two principal components of all points, and the components' share of the variance in percent."""
    shown = np.linspace(0, len(individual) - 1, min(len(individual), _MOST_POINTS)).astype(int)
    everything = [individual[shown], *(features[shown] for by_kind in merged.values() for features in by_kind.values())]
    stacked = np.concatenate(everything).astype(np.float64)
    centre = stacked.mean(axis=0)
    _, sizes, axes = np.linalg.svd(stacked - centre, full_matrices=False)
    # The sign of a component is arbitrary. Its largest entry is made positive, so that the same results give the same picture.
    axes = axes[:2] * np.sign(axes[:2][np.arange(2), np.abs(axes[:2]).argmax(axis=1)])[:, None]
    share = 100 * float((sizes[:2] ** 2).sum() / (sizes**2).sum())

    def points(features: NDArray[np.float32]) -> Points:
        coordinates: Points = (features[shown].astype(np.float64) - centre) @ axes.T
        return coordinates

    own = points(individual)
    return {
        m: {"individual": own, **{name: points(features) for name, features in by_kind.items()}}
        for m, by_kind in merged.items()
    }, share


def _join(axes: Axes, points: Mapping[str, Points]) -> None:
    for name, colour in (("without", "#d55e00"), ("with", "#0072b2")):
        if name in points:
            ends = np.stack([points["individual"], points[name]])
            axes.plot(ends[..., 0], ends[..., 1], color=colour, alpha=0.25, linewidth=0.5, zorder=1)


def _same_limits(panels: Sequence[Axes]) -> None:
    for setter, getter in (("set_xlim", "get_xlim"), ("set_ylim", "get_ylim")):
        limits = [getattr(axes, getter)() for axes in panels]
        for axes in panels:
            getattr(axes, setter)(min(low for low, _ in limits), max(high for _, high in limits))
