"""Draws the figures of the datasets: contact sheets, class balance, classes by activity (figure 1a), and leakage between splits."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from reports.figures.style import STYLE, overlay, save_figure

Card = Mapping[str, Any]


@dataclass(frozen=True)
class Example:
    """One frame of a contact sheet.

    Attributes:
        image: RGB image, uint8 (H, W, 3).
        mask: Class ids, uint8 (H, W).
        note: The text below the frame.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    note: str


def draw_contact_sheet(card: Card, rows: Mapping[str, Sequence[Example]], caption: str, jpeg: Path) -> None:
    """Draw example frames of each class with their masks as overlays, one row per class.

    Args:
        card: The dataset card.
        rows: Examples by class; empty for a class that never occurs.
        caption: The caption that describes the figure's data.
        jpeg: JPEG file to write.
    """
    columns = max(1, *(len(examples) for examples in rows.values()))
    frames = {name: sum(counts[name] for counts in card["frames_with_class"].values()) for name in rows}
    with mpl.rc_context(STYLE):
        heights = [1.62 if examples else 0.5 for examples in rows.values()]
        figure = Figure(figsize=(1.75 * columns + 1.5, sum(heights) + 0.75))
        head, left = 1 - 0.55 / figure.get_figheight(), 1.42 / figure.get_figwidth()
        figure.text(0.5, 1 - 0.3 * (1 - head), card["title"], ha="center", va="center", fontsize=10, fontweight="bold")
        caption += " Grey: ignored pixels." if card.get("ignored_pixels") else ""
        figure.text(0.5, 1 - 0.78 * (1 - head), caption, ha="center", va="center", fontsize=7, color="0.3")
        grid = figure.add_gridspec(
            len(rows), 1, left=left, right=0.995, top=head, bottom=0.02, hspace=0.16, height_ratios=heights
        )
        for index, (name, examples) in enumerate(rows.items()):
            axes = figure.add_subplot(grid[index])
            colour = tuple(value / 255 for value in card["palette"][card["classes"].index(name)])
            _draw_strip(axes, examples, columns, card["palette"])
            label = textwrap.fill(name, 16) + (f"\n{frames[name]} frames" if frames[name] else "\nnever seen")
            axes.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=8, labelpad=10)
            axes.spines["left"].set(visible=True, color=colour, linewidth=7)
        # The sheet contains photographs, so a PNG file would be eight times as large. The JPEG is encoded in memory, because Pillow
        # raises no error if a full disk stores only a part of it.
        packed = io.BytesIO()
        figure.savefig(packed, format="jpeg", dpi=130, pil_kwargs={"quality": 88})
        jpeg.write_bytes(packed.getbuffer())


def _draw_strip(axes: Any, examples: Sequence[Example], columns: int, palette: Sequence[Sequence[int]]) -> None:
    """Draw the examples side by side as one picture, as wide as the widest row of the sheet."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    if not examples:
        return
    height, width = examples[0].mask.shape
    gap = max(2, width // 60)
    strip = np.full((height, columns * (width + gap), 3), 255, np.uint8)
    for column, example in enumerate(examples):
        left = column * (width + gap) + gap
        strip[:, left : left + width] = overlay(example.image, example.mask, palette)
        axes.text(left + width / 2, height * 1.02, example.note, ha="center", va="top", fontsize=6)
    axes.imshow(strip, interpolation="antialiased", aspect="auto")


def draw_balance(cards: Sequence[Card], caption: str, png: Path, pdf: Path) -> None:
    """Draw the number of frames of each activity and class in the training and test splits, one row of panels per dataset.

    Args:
        cards: The cards of the datasets.
        caption: The caption that describes the figure's data.
        png: PNG file to write.
        pdf: PDF file to write.
    """
    heights = [max(len(card["activities"]), len(card["classes"]) - 1) * 0.19 + 0.75 for card in cards]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.6, sum(heights) + 0.45), layout="constrained")
        figure.suptitle(caption, fontsize=7, color="0.3")
        panels = figure.subplots(len(cards), 2, squeeze=False, gridspec_kw={"height_ratios": heights})
        for (left, right), card in zip(panels, cards, strict=True):
            _draw_bars(
                left, card["frames_by_activity"], card["activities"], f"{card['title']}: frames of each activity"
            )
            _draw_bars(
                right, card["frames_with_class"], card["classes"][1:], f"{card['title']}: frames with each class"
            )
        names, places = ("train", "test"), [mpl.patches.Patch(color=colour) for colour in _SPLIT_COLOURS.values()]
        figure.legend(places, names, loc="outside lower center", ncols=2, fontsize=7, frameon=False)
        save_figure(figure, png, pdf)


_SPLIT_COLOURS = {"train": "#4477aa", "test": "#ee8866"}


def _draw_bars(axes: Any, counts: Mapping[str, Mapping[str, int]], names: Sequence[str], title: str) -> None:
    axes.set_title(title, fontsize=8, loc="left")
    if not names or not counts:
        axes.set_axis_off()
        return
    start = np.zeros(len(names))
    for split, colour in _SPLIT_COLOURS.items():
        values = np.array([counts.get(split, {}).get(name, 0) for name in names], float)
        axes.barh(range(len(names)), values, left=start, color=colour, height=0.72)
        start += values
    for index, total in enumerate(start):
        axes.text(total + 0.01 * max(start.max(), 1), index, f"{int(total)}", va="center", fontsize=6.5)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.invert_yaxis()
    axes.set_xlim(0, max(start.max(), 1) * 1.1)
    axes.tick_params(axis="x", labelsize=7)


def draw_classes_by_activity(cards: Sequence[Card], caption: str, png: Path, pdf: Path) -> None:
    """Draw figure 1 (a): the share of an activity's frames in which each class occurs, one panel per dataset.

    Args:
        cards: The cards of datasets with activities.
        caption: The caption that describes the figure's data.
        png: PNG file to write.
        pdf: PDF file to write.
    """
    with mpl.rc_context(STYLE):
        rows = [max(1, len(_shown_activities(card))) for card in cards]
        figure = Figure(figsize=(7.2, sum(rows) * 0.27 + 1.45 * len(cards) + 0.35), layout="constrained")
        figure.suptitle(caption, fontsize=7, color="0.3")
        panels = figure.subplots(len(cards), 1, squeeze=False, gridspec_kw={"height_ratios": [n + 2.5 for n in rows]})
        for axes, card in zip(panels[:, 0], cards, strict=True):
            activities, classes = _shown_activities(card), card["classes"][1:]
            totals = {
                name: sum(of_split[name] for of_split in card["frames_by_activity"].values()) for name in activities
            }
            counts = card["frames_with_class_by_activity"]
            share = np.array([[counts[a][c] / totals[a] for c in classes] for a in activities])
            axes.imshow(share, vmin=0, vmax=1, cmap="Blues", aspect="auto")
            for (row, column), value in np.ndenumerate(share):
                if value:
                    colour = "white" if value > 0.6 else "black"
                    axes.text(column, row, f"{100 * value:.0f}", ha="center", va="center", fontsize=6.5, color=colour)
            axes.set_yticks(range(len(activities)), [f"{a} ({totals[a]})" for a in activities], fontsize=7)
            axes.set_xticks(range(len(classes)), classes, fontsize=7, rotation=18, ha="right", rotation_mode="anchor")
            axes.tick_params(length=0)
            axes.spines[:].set_visible(False)
            axes.set_title(
                f"{card['title']}: share of an activity's frames that show a class (%)", fontsize=8, loc="left"
            )
        save_figure(figure, png, pdf)


def _shown_activities(card: Card) -> list[str]:
    return [name for name in card["activities"] if any(counts[name] for counts in card["frames_by_activity"].values())]


def draw_leakage(
    similarities: Mapping[str, Mapping[str, NDArray[np.float64]]], caption: str, png: Path, pdf: Path
) -> None:
    """Draw the share of test frames whose similarity to the nearest training frame is at least x.

    Args:
        similarities: Similarities by dataset title and split rule, one value per test frame.
        caption: The caption that describes the figure's data.
        png: PNG file to write.
        pdf: PDF file to write.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.6 * max(1, len(similarities)) + 0.2, 3.5), layout="constrained")
        figure.suptitle(caption, fontsize=7, color="0.3")
        for axes, (title, splits) in zip(
            figure.subplots(1, max(1, len(similarities)), squeeze=False)[0], similarities.items(), strict=False
        ):
            for (name, values), style in zip(splits.items(), ("-", "--"), strict=False):
                share = 100 * (1 - np.arange(len(values)) / len(values))
                label = f"{name}: median {np.median(values):.3f}, {len(values)} test frames"
                axes.step(np.sort(values), share, style, where="post", label=label)
            axes.set(
                xlabel="similarity to the nearest training frame",
                ylabel="test frames with at least this similarity (%)",
            )
            axes.set_title(title, fontsize=8)
            axes.grid(alpha=0.25)
            axes.legend(fontsize=7, frameon=False, loc="upper right")
        save_figure(figure, png, pdf)
