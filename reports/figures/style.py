"""Style and helpers of all figures. Figures are written as PNG and PDF at their printed size; equal content gives equal bytes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.text import Text
from matplotlib.textpath import text_to_path
from numpy.typing import NDArray

from reports.statistics.ignored import IGNORED, IGNORED_COLOUR

STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "pdf.fonttype": 42,
}
PAGE = 7.1
"""Inches: the width of a printed page of two columns."""
SMALL = 6.5
"""Points: the smallest text."""
LINE = 0.115
"""Inches: a line of small text."""

# Each model has its own colour, marker, line and hatch, so that figures can be read in grey and by colour-blind readers.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
HATCHES = ("", "////", "...", "xxx", "\\\\\\\\", "+++", "oo", "---")


def save_figure(figure: Figure, png: Path, pdf: Path) -> None:
    """Write a figure as PNG and PDF. Warn once about each letter that the font lacks, and name a label that contains the letter."""
    figure.set_dpi(150)
    _warn_of_unknown_letters(figure)
    with _without_glyph_warnings():
        engine = figure.get_layout_engine()
        if engine is not None:
            # The layout is computed once for both files, because it takes as long as drawing.
            engine.execute(figure)
            figure.set_layout_engine("none")
        # Without a time stamp, the same results give the same bytes.
        figure.savefig(png, format="png", dpi=150, metadata={"Software": None})
        figure.savefig(pdf, format="pdf", dpi=150, metadata={"CreationDate": None})


@contextmanager
def _without_glyph_warnings() -> Iterator[None]:
    """Silence matplotlib's warnings about missing letters.

    matplotlib repeats them at every drawing and does not name the label; `_warn_of_unknown_letters` names it.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph ")
        yield


def _warn_of_unknown_letters(figure: Figure) -> None:
    for text in figure.findobj(Text):
        label = " ".join(text.get_text().split())
        unknown = "".join(dict.fromkeys(c for c in label if not _has_letter(c)))
        if unknown and not _warned.issuperset(unknown):
            _warned.update(unknown)
            letters = ", ".join(f"{letter} (U+{ord(letter):04X})" for letter in unknown)
            warnings.warn(
                f"{label!r}: the font of the figures, {_font_name()}, lacks {letters}, and shows boxes instead. "
                "Choose a label with letters that the font has.",
                stacklevel=3,
            )


# Letters with a warning: a label occurs in many figures, but one warning is enough.
_warned: set[str] = set()


@cache
def _has_letter(letter: str) -> bool:
    return letter.isspace() or bool(get_font(findfont(FontProperties())).get_char_index(ord(letter)))


@cache
def _font_name() -> str:
    return str(get_font(findfont(FontProperties())).family_name)


def black_or_white(colour: Sequence[float]) -> str:
    """Return "black" or "white", whichever is easier to read on a colour: it has a WCAG 2.2 contrast ratio of at least 4.58.

    Args:
        colour: Red, green and blue from 0 to 1; further values are ignored.
    """
    light = luminance(colour)
    return "white" if 1.05 / (light + 0.05) > (light + 0.05) / 0.05 else "black"


def luminance(colour: Sequence[float]) -> float:
    """Return the relative luminance (WCAG 2.2) of red, green and blue from 0 to 1."""
    values = np.asarray(colour[:3], float)
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def annotate(axes: Axes, texts: NDArray[np.object_], points: float = SMALL) -> None:
    """Write a text into each cell of a heatmap, in black or white, whichever is easier to read there.

    Args:
        axes: The axes of the heatmap.
        texts: Texts (rows, columns), "" for a cell without text.
        points: The font size in points.
    """
    mesh = axes.collections[0]
    mesh.update_scalarmappable()
    colours = np.asarray(mesh.get_facecolor()).reshape(*texts.shape, 4)
    for (row, column), text in np.ndenumerate(texts):
        if text:
            colour = black_or_white(colours[row, column].tolist())
            axes.text(column + 0.5, row + 0.5, text, fontsize=points, ha="center", va="center", color=colour)


def draw_message(title: str, message: str, caption: str, png: Path, pdf: Path) -> None:
    """Draw a figure that says in words why there is nothing to show.

    Args:
        title: The title of the missing figure.
        message: Why the figure is missing.
        caption: The caption that describes the figure's data.
        png: PNG file to write.
        pdf: PDF file to write.
    """
    text = wrapped(message, PAGE - 1, 8)
    with mpl.rc_context(STYLE):
        top = head_height(caption) + 0.2
        height = top + 0.35 + 0.15 * (1 + text.count("\n")) + 0.2
        figure = Figure(figsize=(PAGE, height))
        write_head(figure, caption)
        figure.text(0.5, 1 - top / height, title, ha="center", va="top", fontsize=9, fontweight="bold")
        figure.text(0.5, 1 - (top + 0.3) / height, text, ha="center", va="top", fontsize=8)
        save_figure(figure, png, pdf)


def write_head(figure: Figure, caption: str) -> None:
    """Write the caption across the top of a figure."""
    height = float(figure.get_figheight())
    text = wrapped(caption, figure.get_figwidth() - 0.2)
    figure.text(0.5, 1 - 0.06 / height, text, ha="center", va="top", fontsize=SMALL, color="0.3")


def head_height(caption: str, width: float = PAGE) -> float:
    """Return the height in inches that `write_head` needs on a figure of the given width."""
    return 0.16 + LINE * (1 + wrapped(caption, width - 0.2).count("\n"))


def wrapped(text: str, inches: float, points: float = SMALL, bold: bool = False) -> str:
    """Return a text in lines that fit a width in inches at a font size. Words are broken only if a word alone is too wide."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split(" "):
            longer = f"{line} {word}" if line else word
            if line and text_width([longer], points, bold) > inches:
                lines.append(line)
                longer = word
            line = longer
            while len(line) > 3 and text_width([line], points, bold) > inches:
                fits = max(3, sum(text_width([line[:end]], points, bold) <= inches for end in range(1, len(line))))
                lines.append(line[:fits])
                line = line[fits:]
        lines.append(line)
    return "\n".join(lines)


def text_width(texts: Sequence[str], points: float = SMALL, bold: bool = False) -> float:
    """Return the width in inches of the widest line of some texts."""
    lines = {line for text in texts for line in text.split("\n")}
    return max((_width(line, points, bold) for line in lines), default=0.0)


@cache
def _width(line: str, points: float, bold: bool) -> float:
    font = FontProperties(size=points, weight="bold" if bold else "normal")
    with _without_glyph_warnings():
        return float(text_to_path.get_text_width_height_descent(line, font, ismath=False)[0]) / 72


def log_ticks(low: float, high: float) -> list[float]:
    """Return a few round numbers between two positive limits, for a logarithmic axis; none if the limits are too close."""
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    for steps in ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1,)):
        ticks = [float(f"{step}e{decade}") for decade in decades for step in steps]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) <= 5:
            return ticks
    return ticks[:: -(-len(ticks) // 5)]


def place(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Add axes to a figure, at a place in inches measured from its upper left corner, and return them."""
    total_width, total_height = figure.get_figwidth(), figure.get_figheight()
    bottom = 1 - (top + height) / total_height
    return figure.add_axes((left / total_width, bottom, width / total_width, height / total_height))


def overlay(image: NDArray[np.uint8], mask: NDArray[np.uint8], palette: Sequence[Sequence[int]]) -> NDArray[np.uint8]:
    """Return an image with a half transparent mask over it, uint8 (H, W, 3). The background is unchanged; ignored pixels are grey."""
    colour_of_class = np.zeros((256, 3), np.float32)
    colour_of_class[: len(palette)], colour_of_class[IGNORED] = palette, IGNORED_COLOUR
    colours = colour_of_class[mask]
    mixed = np.where(mask[..., None] > 0, 0.45 * image + 0.55 * colours, image)
    return np.rint(mixed).astype(np.uint8)
