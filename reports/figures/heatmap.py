"""Draws the heatmap of the scores of every model under every corruption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from endoarss.metrics.catalogue import metrics_by_name
from reports.figures.style import (
    LINE,
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
from reports.names import corruption_in_words

COLOURS = "cividis"
CLEAN, MEAN = "clean", "mean"
# Inches: the height of a row, the gap between panels, and the width of the colour bar with its numbers.
_ROW, _GAP, _BAR = 0.165, 0.12, 0.5
# With more models than this, a panel takes the whole width, and the next panel is below it.
_MOST_MODELS_SIDE_BY_SIDE = 6

Groups = Mapping[str, Sequence[str]]


def draw_heatmap(summary: pd.DataFrame, categories: Groups, caption: str, png: Path, pdf: Path) -> None:
    """Draw scores by corruption (rows, grouped by category) and model (columns), as means over the severities.

    There is one block per dataset. Accuracy and mIoU are side by side, or one below the other if there are many models.

    Args:
        summary: The summary of a `Robustness`.
        categories: The categories of a `Robustness`.
        caption: The caption that describes the figure's data.
        png: PNG file to write.
        pdf: PDF file to write.
    """
    blocks = [_panels(summary[summary["dataset"] == dataset], categories) for dataset in summary["dataset"].unique()]
    caption = (
        f"Scores in %, mean over severities. {MEAN}: mean over corruptions. Masks move along with pixels.\n{caption}"
    )
    sizes = [_Size(panels) for panels in blocks]
    with mpl.rc_context(STYLE):
        top = head_height(caption)
        figure = Figure(figsize=(PAGE, top + sum(size.height for size in sizes)))
        write_head(figure, caption)
        for panels, size in zip(blocks, sizes, strict=True):
            _draw_block(figure, panels, size, top)
            top += size.height
        save_figure(figure, png, pdf)


Panels = Mapping[str, Mapping[str, pd.DataFrame]]


def _panels(summary: pd.DataFrame, categories: Groups) -> Panels:
    """Return the panels of one dataset by title: the scores in % (rows x models) of each group of rows."""
    quantities = {CLEAN: "clean", MEAN: "mPC"}
    panels: dict[str, dict[str, pd.DataFrame]] = {}
    for metric in summary["metric"].unique():
        rows = summary[summary["metric"] == metric]
        title = f"{rows['dataset'].iloc[0]}, {metrics_by_name()[metric].text}"
        models = list(rows["model"].unique())
        ends = {
            name: pd.DataFrame([_values(rows, quantity, "", models)], [name]) for name, quantity in quantities.items()
        }
        groups = {"": ends[CLEAN]}
        for category, names in categories.items():
            by_name = {name: _values(rows, "corruption_mean", name, models) for name in names}
            known = {name: values for name, values in by_name.items() if values.notna().any()}
            if known:
                groups[category] = pd.DataFrame(known).T
        panels[title] = groups | {" ": ends[MEAN]}
    return panels


def _values(rows: pd.DataFrame, quantity: str, of: str, models: Sequence[str]) -> pd.Series:
    matching = rows[(rows["quantity"] == quantity) & (rows["of"] == of)].drop_duplicates("model")
    return 100 * matching.set_index("model")["value"].reindex(models)


class _Size:
    """The size of the block of one dataset in inches."""

    def __init__(self, panels: Panels) -> None:
        tables = [pd.concat(groups.values()) for groups in panels.values()]
        models = max(table.shape[1] for table in tables)
        self.across = len(panels) if models <= _MOST_MODELS_SIDE_BY_SIDE else 1
        names = [corruption_in_words(name) for table in tables for name in table.index]
        categories = [category for groups in panels.values() for category in groups]
        self.category = text_width(categories) + 0.1
        self.left = self.category + text_width(names) + 0.1
        self.panel = (PAGE - self.left - _BAR - _GAP * (self.across - 1)) / self.across
        self.cell = min(0.75, self.panel / models)
        self.turned = self.cell < 0.6
        columns = [self.column(name) for table in tables for name in table.columns]
        lines = 1 + max(name.count("\n") for name in columns)
        self.foot = text_width(columns) + 0.1 if self.turned else lines * LINE + 0.1
        self.rows = max(len(table) for table in tables) * _ROW + _GAP / 3 * (max(map(len, panels.values())) - 1)
        self.height = -(-len(panels) // self.across) * (0.24 + self.rows + self.foot) + 0.1

    def column(self, model: str) -> str:
        """Return the text of a model below its column."""
        if not self.turned:
            return wrapped(model, self.cell - 0.08)
        return wrapped(model, 1.6) if self.cell > 0.26 else model


def _draw_block(figure: Figure, panels: Panels, size: _Size, top: float) -> None:
    for index, (title, groups) in enumerate(panels.items()):
        row, column = divmod(index, size.across)
        left = size.left + column * (size.panel + _GAP)
        upper = top + row * (0.24 + size.rows + size.foot)
        width, total_height = figure.get_figwidth(), figure.get_figheight()
        figure.text(left / width, 1 - (upper + 0.05) / total_height, title, fontsize=8, fontweight="bold", va="top")
        place_of_group = upper + 0.24
        for number, (category, table) in enumerate(groups.items()):
            height = len(table) * _ROW
            axes = place(figure, left, place_of_group, size.cell * table.shape[1], height)
            _draw_group(axes, table, size)
            axes.set_xticks([])
            if column == 0:
                labels = [corruption_in_words(name) for name in table.index]
                axes.set_yticks(np.arange(len(table)) + 0.5, labels, fontsize=SMALL, rotation=0)
                middle = 1 - (place_of_group + height / 2) / total_height
                figure.text(0.06 / width, middle, category.strip(), fontsize=SMALL, va="center", fontstyle="italic")
            else:
                axes.set_yticks([])
            if number == len(groups) - 1:
                names = [size.column(name) for name in table.columns]
                axes.set_xticks(np.arange(len(names)) + 0.5, names, rotation=90 if size.turned else 0, fontsize=SMALL)
            axes.tick_params(length=0, pad=2)
            place_of_group += height + _GAP / 3
    bar = place(figure, PAGE - _BAR + 0.12, top + 0.24, 0.1, min(1.6, size.rows))
    figure.colorbar(mpl.cm.ScalarMappable(mpl.colors.Normalize(0, 100), COLOURS), cax=bar)
    bar.tick_params(labelsize=SMALL, length=2, pad=1.5)
    bar.set_title("%", fontsize=SMALL, pad=3)


def _draw_group(axes: Axes, table: pd.DataFrame, size: _Size) -> None:
    digits = 1 if size.cell >= 0.3 else 0
    # A cell without a defined score is grey and shows a dash.
    axes.set_facecolor("0.9")
    sns.heatmap(
        table.astype(float),
        ax=axes,
        vmin=0,
        vmax=100,
        cmap=COLOURS,
        cbar=False,
        linewidths=0.4,
        linecolor="white",
    )
    for y, x in np.argwhere(table.isna().to_numpy()):
        axes.text(x + 0.5, y + 0.5, "-", fontsize=SMALL, ha="center", va="center")
    shown = [["" if np.isnan(value) else f"{value:.{digits}f}" for value in row] for row in table.to_numpy(float)]
    annotate(axes, np.array(shown, object), SMALL if size.cell >= 0.2 else 6)
    axes.set(xlabel="", ylabel="")
