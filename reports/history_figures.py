"""How trainings went: losses, task weights and the angle between the tasks' gradients, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from reports.names import architecture_label, weighting_label
from reports.style import STYLE, save_figure

_STYLES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (1, 1)), (0, (5, 1, 1, 1, 1, 1)))


@dataclass(frozen=True)
class TrainingHistory:
    """One training: how readers call its backbone, its architecture and weighting, and its rows by epoch."""

    backbone: str
    architecture: str
    weighting: str
    rows: pd.DataFrame


def draw_histories(histories: Sequence[TrainingHistory], title: str, mark: str, png: Path, pdf: Path) -> None:
    """One column a backbone; rows: the tasks' losses, the first task's share of the weights, the lengths of the
    gradients of shared parameters, the cosine between them.

    Args:
        histories: of one dataset. title: names it. mark: what every figure says of its data. png, pdf: files to write.
    """
    backbones = list(dict.fromkeys(history.backbone for history in histories))
    architectures = list(dict.fromkeys(history.architecture for history in histories))
    weightings = list(dict.fromkeys(history.weighting for history in histories))
    colours = dict(zip(architectures, sns.color_palette("colorblind", len(architectures)), strict=True))
    styles = {name: _STYLES[index % len(_STYLES)] for index, name in enumerate(weightings)}
    losses = sorted({column for history in histories for column in history.rows if column.startswith("loss_")})
    cosines = sorted({column for history in histories for column in history.rows if column.startswith("cosine_")})
    share = [f"weight_{losses[0].removeprefix('loss_')}"] if len(losses) > 1 else []
    norms = sorted({column for history in histories for column in history.rows if column.startswith("gradient_norm_")})
    quantities = [*losses, *share, *norms, *cosines]
    with mpl.rc_context(STYLE):
        size = (3.0 * len(backbones) + 0.8, 1.7 * len(quantities) + 1.6)
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(len(quantities), len(backbones), squeeze=False, sharex="col", sharey="row")
        for row, quantity in enumerate(quantities):
            for column, backbone in enumerate(backbones):
                axes: Axes = panels[row, column]
                for history in histories:
                    values = _values(history.rows, quantity)
                    if history.backbone == backbone and values is not None:
                        axes.plot(
                            history.rows["epoch"],
                            values,
                            color=colours[history.architecture],
                            linestyle=styles[history.weighting],
                            linewidth=1.2,
                        )
                axes.grid(alpha=0.25)
                axes.xaxis.set_major_locator(MaxNLocator(integer=True))
                if quantity in (*losses, *norms):
                    axes.set_yscale("log")
                if quantity in cosines:
                    axes.axhline(0, color="0.5", linewidth=0.8)
                if row == 0:
                    axes.set_title(backbone)
                if column == 0:
                    axes.set_ylabel(_label(quantity), fontsize=8)
                if row == len(quantities) - 1:
                    axes.set_xlabel("epoch")
        handles = [Line2D([], [], color=colours[name], label=architecture_label(name)) for name in architectures]
        handles += [Line2D([], [], color="0.3", linestyle=styles[w], label=weighting_label(w)) for w in weightings]
        figure.legend(
            handles=handles, loc="outside lower center", ncols=min(5, len(handles)), fontsize=7.5, frameon=False
        )
        figure.suptitle(f"{title}: trainings\n{mark}", fontsize=8, color="0.3")
        save_figure(figure, png, pdf)


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
