"""Draws figure 6 (scores against severity) and the figure of retention (the share of the clean score that remains)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from endoarss.metrics.catalogue import metrics_by_name
from reports.figures.style import HATCHES, LINES, MARKERS, STYLE, save_figure, wrapped
from reports.statistics.brackets import clipped, limits_of
from reports.statistics.robustness import NOT_MOVED
from reports.statistics.variation import Array

# With more models than this, bands would hide each other, so whiskers are drawn side by side instead.
_MOST_BANDS = 4
_WIDTH = 8.8  # inches: when the figure is shrunk to a page, letters of 8 points still have more than 6 points

Styles = Mapping[str, Mapping[str, Any]]


def draw_severity(summary: pd.DataFrame, caption: str, png: Path, pdf: Path) -> None:
    """Draw figure 6: accuracy and mIoU against severity, as means over the corruptions, with one line per model.

    There is one row of panels per dataset. Severity 0 is clean. Bands show the intervals; with more than four models, whiskers do.

    Args:
        summary: The summary of a `Robustness`.
        caption: The caption that describes the figure's data.
        png: PNG file to write.
        pdf: PDF file to write.
    """
    datasets, metrics = _names(summary, "dataset"), _names(summary, "metric")
    styles = _styles(_names(summary, "model"))
    with mpl.rc_context(STYLE):
        width = 4.2 * len(metrics) + 0.4
        head, room = _head(summary, caption, width)
        size = (width, 3.1 * len(datasets) + 0.1 + room + 0.17 * len(styles))
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(len(datasets), len(metrics), squeeze=False)
        for row, dataset in enumerate(datasets):
            for axes, metric in zip(panels[row], metrics, strict=True):
                rows = summary[(summary["dataset"] == dataset) & (summary["metric"] == metric)]
                if rows.empty:
                    axes.set_axis_off()
                    continue
                _draw_lines(axes, rows[rows["quantity"].isin(["clean", "severity_mean"])], styles)
                axes.set(ylabel=metrics_by_name()[metric].head, ylim=(0, 102))
                axes.set_title(dataset, fontsize=8, loc="left")
        _finish(figure, _line_handles(styles), head, png, pdf)


def draw_retention(summary: pd.DataFrame, caption: str, png: Path, pdf: Path) -> None:
    """Draw the share of the clean score that remains, against severity (left) and by category of corruption (right).

    There is one row of panels per dataset and metric. The right panels show means over severities. Bands and whiskers show the intervals.

    Args:
        summary: The summary of a `Robustness`.
        caption: The caption that describes the figure's data.
        png: PNG file to write.
        pdf: PDF file to write.
    """
    pairs = list(summary[["dataset", "metric"]].drop_duplicates().itertuples(index=False, name=None))
    styles = _styles(_names(summary, "model"))
    with mpl.rc_context(STYLE | {"hatch.linewidth": 0.6}):
        head, room = _head(summary, caption, _WIDTH)
        figure = Figure(figsize=(_WIDTH, 2.7 * len(pairs) + 0.1 + room + 0.17 * len(styles)), layout="constrained")
        panels = figure.subplots(len(pairs), 2, squeeze=False, sharey="row")
        for (left, right), (dataset, metric) in zip(panels, pairs, strict=True):
            rows = summary[(summary["dataset"] == dataset) & (summary["metric"] == metric)]
            name = metrics_by_name()[metric].text
            _draw_lines(left, rows[rows["quantity"] == "retention"], styles)
            _draw_columns(right, rows[rows["quantity"] == "category_rPC"], styles)
            left.set_ylabel(f"{name} / clean {name} (%)")
            left.set_title(f"{dataset}, {name}: by severity", fontsize=8, loc="left")
            right.set_title(f"{dataset}, {name}: by category (rPC)", fontsize=8, loc="left")
            shares = rows.loc[rows["quantity"].isin(["retention", "category_rPC"]), ["value", "high"]]
            left.set_ylim(0, np.nanmax([105, *(102 * shares.to_numpy().ravel())]))
        handles = dict(
            zip(styles, zip(_line_handles(styles).values(), _column_handles(styles), strict=True), strict=True)
        )
        _finish(figure, handles, head, png, pdf)


def _names(summary: pd.DataFrame, column: str) -> list[str]:
    return list(summary[column].unique())


def _styles(models: Sequence[str]) -> Styles:
    """Return the colour, marker, line and hatch of each model; they are the same in all panels."""
    colours = sns.color_palette("colorblind", len(models))
    return {
        model: {
            "color": colours[i],
            "marker": MARKERS[i % len(MARKERS)],
            "linestyle": LINES[i % len(LINES)],
            "hatch": HATCHES[i % len(HATCHES)],
        }
        for i, model in enumerate(models)
    }


def _draw_lines(axes: Any, rows: pd.DataFrame, styles: Styles) -> None:
    """Draw one line per model against severity; the row with an empty `of` is the clean score, at severity 0."""
    rows = rows.assign(severity=rows["of"].replace("", "0").astype(int)).sort_values("severity")
    shown = [model for model in styles if model in set(rows["model"])]
    for index, model in enumerate(shown):
        line, style = rows[rows["model"] == model], styles[model]
        places, value = line["severity"].to_numpy(float), 100 * line["value"].to_numpy(float)
        low, high = _shown_ends(line)
        if len(shown) <= _MOST_BANDS:
            _draw_band(axes, places, low, high, style)
        else:
            places = places + 0.06 * (index - (len(shown) - 1) / 2)
            ends = np.abs(np.stack([low, high]) - value)
            axes.errorbar(places, value, yerr=ends, fmt="none", ecolor=style["color"], elinewidth=0.9, capsize=1.5)
        axes.plot(places, value, **_line_look(style), zorder=3)
    axes.set_xlabel("severity (0: clean)")
    axes.set_xticks(sorted(rows["severity"].unique()))
    axes.grid(alpha=0.25)


def _shown_ends(rows: pd.DataFrame) -> Array:
    """Return the ends of the intervals of one quantity, (2, rows), in percent, clipped to the quantity's possible range."""
    limits = limits_of(str(rows["quantity"].dropna().iloc[0]))
    return clipped(100 * rows[["low", "high"]].to_numpy(float).T, limits)


def _draw_band(axes: Any, places: Array, low: Array, high: Array, style: Mapping[str, Any]) -> None:
    axes.fill_between(places, low, high, color=style["color"], alpha=0.15, linewidth=0)
    # A thin edge separates bands that overlap, also when they are printed in grey.
    for end in (low, high):
        axes.plot(places, end, color=style["color"], linestyle=style["linestyle"], linewidth=0.5, alpha=0.7)


def _line_look(style: Mapping[str, Any]) -> dict[str, Any]:
    shared = {"markersize": 5, "linewidth": 1.6, "markeredgecolor": "white", "markeredgewidth": 0.6}
    return {key: style[key] for key in ("color", "marker", "linestyle")} | shared


def _column_look(style: Mapping[str, Any]) -> dict[str, Any]:
    return {"facecolor": style["color"], "hatch": style["hatch"], "edgecolor": "white", "linewidth": 0.6}


def _draw_columns(axes: Any, rows: pd.DataFrame, styles: Styles) -> None:
    """Draw one group of columns per category and one column per model."""
    shown = [model for model in styles if model in set(rows["model"])]
    categories, width = list(rows["of"].unique()), 0.8 / len(shown)
    for index, model in enumerate(shown):
        of_model = rows[rows["model"] == model].set_index("of").reindex(categories)
        places = np.arange(len(categories)) + (index - (len(shown) - 1) / 2) * width
        value = 100 * of_model["value"].to_numpy()
        axes.bar(places, value, width, **_column_look(styles[model]))
        ends = np.abs(_shown_ends(of_model) - value)
        axes.errorbar(places, value, yerr=ends, fmt="none", ecolor="0.1", elinewidth=0.9, capsize=2)
    axes.set_xticks(range(len(categories)), categories)
    axes.grid(alpha=0.25, axis="y")
    axes.set_axisbelow(True)


def _line_handles(styles: Styles) -> dict[str, Any]:
    return {name: Line2D([], [], **_line_look(style)) for name, style in styles.items()}


def _column_handles(styles: Styles) -> list[Any]:
    return [Patch(**_column_look(style)) for style in styles.values()]


def _head(summary: pd.DataFrame, caption: str, width: float) -> tuple[str, float]:
    """Return the text above a figure of the given width, and its height in inches."""
    means = summary[(summary["quantity"] == "corruption_mean") & ~summary["of"].str.endswith(NOT_MOVED)]
    text = wrapped(f"Mean over {means['of'].nunique()} corruptions.\n{caption}", width - 0.2, 8)
    return text, 0.135 * (1 + text.count("\n"))


def _finish(figure: Figure, handles: Mapping[str, Any], head: str, png: Path, pdf: Path) -> None:
    """Draw the legend and the head, and write the files."""
    figure.legend(
        list(handles.values()),
        list(handles),
        loc="outside lower center",
        ncols=2,
        fontsize=8,
        frameon=False,
        handlelength=8 if isinstance(next(iter(handles.values())), tuple) else 3.5,
        handler_map={tuple: HandlerTuple(ndivide=None, pad=0.4)},
    )
    figure.suptitle(head, fontsize=8, color="0.3")
    save_figure(figure, png, pdf)
