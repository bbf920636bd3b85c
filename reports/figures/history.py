"""Draws the figure of training histories: losses, task weights, and norms and cosine of the tasks' gradients in each epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, product
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from reports.figures.style import (
    LINE,
    MARKERS,
    PAGE,
    SMALL,
    STYLE,
    head_height,
    log_ticks,
    place,
    save_figure,
    text_width,
    wrapped,
    write_head,
)

_LOGARITHMIC = ("loss_", "gradient_norm_")
# Inches: the height of a row of panels, the width of its axis, and the gap between two columns.
_ROW, _AXIS, _GAP = 1.15, 0.7, 0.05
_MOST_COLUMNS = 14  # side by side
_NARROW = 1.0  # inches: a column below this width names its last epoch only


@dataclass(frozen=True)
class TrainingHistory:
    """The history of one training.

    Trainings with the same architecture label share a column. Trainings of different single tasks may share a label, because they have
    no quantity in common.

    Attributes:
        backbone: Label of the backbone.
        architecture: Label of the architecture.
        weighting: Label of the weighting.
        rows: One row per epoch.
    """

    backbone: str
    architecture: str
    weighting: str
    rows: pd.DataFrame


def draw_histories(histories: Sequence[TrainingHistory], title: str, caption: str, png: Path, pdf: Path) -> None:
    """Draw one column of panels per backbone and architecture label, and one row per quantity; colour and marker identify a weighting.

    Args:
        histories: The histories of one dataset.
        title: The title; it names the dataset.
        caption: The caption that describes the figure's data.
        png: PNG file to write.
        pdf: PDF file to write.
    """
    columns = _columns(histories)
    weightings = list(dict.fromkeys(history.weighting for history in histories))
    colours = sns.color_palette("colorblind", len(weightings))
    looks = {
        name: {"color": colour, "marker": MARKERS[i % len(MARKERS)], "markersize": 3, "linewidth": 1.0}
        for i, (name, colour) in enumerate(zip(weightings, colours, strict=True))
    }
    quantities = _quantities(histories)
    shown = {name: [values for h in histories if (values := _values(h.rows, name)) is not None] for name in quantities}
    limits = {name: _limits(name, values) for name, values in shown.items()}
    handles = [Line2D([], [], **look, label=name) for name, look in looks.items()]
    legend_columns = max(1, min(len(handles), int(PAGE / (text_width([str(h.get_label()) for h in handles], 7) + 0.6))))
    blocks = [columns[start : start + _MOST_COLUMNS] for start in range(0, len(columns), _MOST_COLUMNS)]
    width = (PAGE - _AXIS - 0.1) / len(blocks[0])
    names = {column: wrapped(column.name, width - 0.04, SMALL) for column in columns}
    heads = 0.22 + LINE * max(1 + name.count("\n") for name in names.values())
    caption = f"{title}: trainings\n{caption}"
    with mpl.rc_context(STYLE | {"xtick.labelsize": SMALL, "ytick.labelsize": SMALL}):
        top, legend_height = head_height(caption), 0.1 + 0.15 * -(-len(handles) // legend_columns)
        block_height = heads + _ROW * len(quantities) + 0.35
        figure = Figure(figsize=(PAGE, top + block_height * len(blocks) + legend_height))
        write_head(figure, caption)
        for place_of_block, block in enumerate(blocks):
            upper = top + place_of_block * block_height
            _name_backbones(figure, block, width, upper)
            for (row, quantity), (index, column) in product(enumerate(quantities), enumerate(block)):
                axes = place(figure, _AXIS + index * width, upper + heads + row * _ROW, width - _GAP, _ROW - 0.12)
                _draw_panel(axes, column, quantity, looks)
                _finish(axes, quantity, limits[quantity])
                _set_epochs(axes, column, width)
                axes.tick_params(labelleft=index == 0, labelbottom=row == len(quantities) - 1, length=2.5, pad=2)
                if row == 0:
                    axes.set_title(names[column], fontsize=SMALL, pad=2)
                if index == 0:
                    axes.set_ylabel(_label(quantity), fontsize=7)
                if row == len(quantities) - 1:
                    axes.set_xlabel("epoch", fontsize=SMALL, labelpad=1)
        figure.legend(
            handles=handles,
            loc="lower center",
            bbox_to_anchor=(0.5, 0.04 / figure.get_figheight()),
            ncols=legend_columns,
            fontsize=7,
            frameon=False,
            borderaxespad=0,
            borderpad=0,
            handlelength=2.5,
        )
        save_figure(figure, png, pdf)


@dataclass(frozen=True, eq=False)
class _Column:
    """The trainings in one column of panels; `name` is the label of their architecture."""

    backbone: str
    name: str
    histories: Sequence[TrainingHistory]


def _columns(histories: Sequence[TrainingHistory]) -> list[_Column]:
    """Return the columns: backbones in their order, and the architectures of each."""
    by_backbone: dict[str, dict[str, list[TrainingHistory]]] = {}
    for history in histories:
        by_backbone.setdefault(history.backbone, {}).setdefault(history.architecture, []).append(history)
    return [
        _Column(backbone, name, trainings)
        for backbone, by_architecture in by_backbone.items()
        for name, trainings in by_architecture.items()
    ]


def _quantities(histories: Sequence[TrainingHistory]) -> list[str]:
    """Return the quantities that the rows of panels show; they are columns of the histories.

    These are the losses of the tasks, the first task's share of the weights, the norms of the gradients of shared parameters, and the
    cosine between these gradients.
    """
    columns = sorted({str(column) for history in histories for column in history.rows})
    losses, norms, cosines = (
        [column for column in columns if column.startswith(kind)] for kind in ("loss_", "gradient_norm_", "cosine_")
    )
    share = [f"weight_{losses[0].removeprefix('loss_')}"] if len(losses) > 1 else []
    return [*losses, *share, *norms, *cosines]


def _name_backbones(figure: Figure, columns: Sequence[_Column], width: float, upper: float) -> None:
    """Write each backbone above its columns, with a line that spans them below the name. `upper` is in inches from the top."""
    total_width, total_height = figure.get_figwidth(), figure.get_figheight()
    place_of_first = 0
    for backbone, group in groupby(columns, key=lambda column: column.backbone):
        count = len(list(group))
        left, right = _AXIS + place_of_first * width, _AXIS + (place_of_first + count) * width - _GAP
        shown = wrapped(backbone, max(right - left, 0.3), 7).split("\n")
        text = shown[0] if len(shown) == 1 else f"{shown[0][:-1]}\N{HORIZONTAL ELLIPSIS}"
        middle, height = (left + right) / 2 / total_width, 1 - (upper + 0.17) / total_height
        figure.text(middle, 1 - (upper + 0.04) / total_height, text, fontsize=7, ha="center", va="top")
        ends = [left / total_width, right / total_width]
        figure.add_artist(Line2D(ends, [height] * 2, color="0.5", linewidth=0.6))
        place_of_first += count


def _draw_panel(axes: Axes, column: _Column, quantity: str, looks: Mapping[str, dict[str, Any]]) -> None:
    for history in column.histories:
        values = _values(history.rows, quantity)
        if values is not None:
            axes.plot(history.rows["epoch"], values, **looks[history.weighting], markevery=max(1, len(values) // 4))
    if not axes.lines:
        axes.text(0.5, 0.5, "none", transform=axes.transAxes, fontsize=SMALL, ha="center", color="0.3")


def _set_epochs(axes: Axes, column: _Column, width: float) -> None:
    """Set the horizontal axis; a narrow column names its last epoch only."""
    last = max(int(history.rows["epoch"].max()) for history in column.histories)
    axes.set_xlim(1 - 0.04 * last, 1.04 * last)
    if width < _NARROW:
        axes.set_xticks([last], [str(last)], ha="right")
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))


def _limits(quantity: str, shown: Sequence[pd.Series]) -> tuple[float, float]:
    """Return the lowest and the highest value of a row of panels, with a small margin."""
    values = np.concatenate([series.to_numpy(float) for series in shown])
    values = values[np.isfinite(values) & ((values > 0) | (not quantity.startswith(_LOGARITHMIC)))]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.1, 1.0)
    if quantity.startswith(_LOGARITHMIC):
        room = max((high / low) ** 0.06, 1.05)
        return low / room, high * room
    room = max(0.06 * (high - low), 0.02)
    return low - room, high + room


def _finish(axes: Axes, quantity: str, limits: tuple[float, float]) -> None:
    axes.grid(alpha=0.25)
    axes.set_ylim(limits)
    if quantity.startswith(_LOGARITHMIC):
        axes.set_yscale("log")
        axes.set_ylim(limits)
        ticks = log_ticks(*limits)
        axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
    if quantity.startswith("cosine_"):
        axes.axhline(0, color="0.5", linewidth=0.8)


def _values(rows: pd.DataFrame, quantity: str) -> pd.Series | None:
    if quantity not in rows:
        return None
    if not quantity.startswith("weight_"):
        return rows[quantity]
    weights = rows[[column for column in rows if column.startswith("weight_")]]
    return rows[quantity] / weights.sum(axis=1) if weights.shape[1] > 1 else None


def _label(quantity: str) -> str:
    if quantity.startswith("cosine_"):
        return "cosine of the\ntasks' gradients"
    kind, _, task = quantity.rpartition("_")
    return {
        "loss": f"{task} loss",
        "weight": f"weight of {task},\nshare of all",
        "gradient_norm": f"gradient norm\nof {task}",
    }[kind]
