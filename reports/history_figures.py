"""How trainings went: losses, task weights and the angle between the tasks' gradients, epoch by epoch."""

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
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from reports.names import architecture_label, weighting_label
from reports.style import (
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

_STYLES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (9, 2)), (0, (4, 1, 1, 1, 1, 1)))
_LOGARITHMIC = ("loss_", "gradient_norm_")
_ROW, _LEFT = 1.25, 0.8  # inches: a row of panels, and what its axis takes


@dataclass(frozen=True)
class TrainingHistory:
    """One training: how readers call its backbone, its architecture and weighting, and its rows by epoch."""

    backbone: str
    architecture: str
    weighting: str
    rows: pd.DataFrame


def draw_histories(histories: Sequence[TrainingHistory], title: str, mark: str, png: Path, pdf: Path) -> None:
    """One column a backbone; an architecture is told by colour and marker, a weighting by its line. Rows: the tasks' losses, the first
    task's share of the weights, the lengths of the gradients of shared parameters, the cosine between them.

    Args:
        histories: of one dataset. title: names it. mark: what every figure says of its data. png, pdf: files to write.
    """
    backbones = list(dict.fromkeys(history.backbone for history in histories))
    architectures = list(dict.fromkeys(history.architecture for history in histories))
    weightings = list(dict.fromkeys(history.weighting for history in histories))
    looks = {
        name: {"color": colour, "marker": MARKERS[i % len(MARKERS)], "markersize": 3.5, "linewidth": 1.1}
        for i, (name, colour) in enumerate(
            zip(architectures, sns.color_palette("colorblind", len(architectures)), strict=True)
        )
    }
    styles = {name: _STYLES[index % len(_STYLES)] for index, name in enumerate(weightings)}
    losses = sorted({column for history in histories for column in history.rows if column.startswith("loss_")})
    cosines = sorted({column for history in histories for column in history.rows if column.startswith("cosine_")})
    share = [f"weight_{losses[0].removeprefix('loss_')}"] if len(losses) > 1 else []
    norms = sorted({column for history in histories for column in history.rows if column.startswith("gradient_norm_")})
    quantities = [*losses, *share, *norms, *cosines]
    handles = [Line2D([], [], **looks[name], label=architecture_label(name)) for name in architectures]
    handles += [Line2D([], [], color="0.3", linestyle=styles[w], label=weighting_label(w)) for w in weightings]
    across = max(1, min(len(handles), int(PAGE / (text_width([str(h.get_label()) for h in handles], 7) + 0.6))))
    mark = f"{title}: trainings\n{mark}"
    with mpl.rc_context(STYLE | {"xtick.labelsize": SMALL, "ytick.labelsize": SMALL}):
        top, foot = head_height(mark) + 0.2, 0.5 + 0.15 * -(-len(handles) // across)
        figure = Figure(figsize=(PAGE, top + _ROW * len(quantities) + foot))
        write_head(figure, mark)
        width = (PAGE - _LEFT - 0.1) / len(backbones)
        for row, quantity in enumerate(quantities):
            shown = [(history, _values(history.rows, quantity)) for history in histories]
            limits = _limits(quantity, [values for _, values in shown if values is not None])
            for column, backbone in enumerate(backbones):
                epochs = [history.rows["epoch"].max() for history in histories if history.backbone == backbone]
                axes = place(figure, _LEFT + column * width, top + row * _ROW, width - 0.1, _ROW - 0.12)
                for history, values in shown:
                    if history.backbone == backbone and values is not None:
                        look = looks[history.architecture] | {"linestyle": styles[history.weighting]}
                        axes.plot(history.rows["epoch"], values, **look, markevery=max(1, len(values) // 6))
                if not axes.lines:
                    axes.text(
                        0.5, 0.5, "not defined", transform=axes.transAxes, fontsize=SMALL, ha="center", color="0.3"
                    )
                axes.set_xlim(1 - 0.04 * max(epochs), 1.04 * max(epochs))
                _finish(axes, quantity, limits)
                axes.tick_params(labelleft=column == 0, labelbottom=row == len(quantities) - 1, length=2.5, pad=2)
                if row == 0:
                    axes.set_title(wrapped(backbone, width - 0.1, 8), fontsize=8, pad=3)
                if column == 0:
                    axes.set_ylabel(_label(quantity), fontsize=7)
                if row == len(quantities) - 1:
                    axes.set_xlabel("epoch", fontsize=7, labelpad=1)
        figure.legend(
            handles=handles,
            loc="upper center",
            bbox_to_anchor=(0.5, (foot - 0.4) / figure.get_figheight()),
            ncols=across,
            fontsize=7,
            frameon=False,
            borderaxespad=0,
            borderpad=0,
            handlelength=3,
        )
        save_figure(figure, png, pdf)


def _limits(quantity: str, shown: Sequence[pd.Series]) -> tuple[float, float]:
    """The lowest and the highest value of a row of panels, and a little room."""
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
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
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
        "gradient_norm": f"gradient of\n{task}, length",
    }[kind]
