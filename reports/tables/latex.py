"""Writes tables as LaTeX for \\input, with booktabs rules. The best value of a column can be bold, and the second best underlined.

A document that reads such a table needs \\usepackage{booktabs,graphicx}, and also longtable for tables of more than 40 rows. Names with
letters such as ð or ą also need \\usepackage[T1]{fontenc}. multirow is not needed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from numbers import Real
from typing import Any

import pandas as pd

from reports.measures import HIGHER_IS_BETTER
from reports.tables.latex_text import escape

# Tables with more rows than LONG, or higher than this many points, break over pages.
LONG, _MAX_HEIGHT = 40, 600
# In characters: the smallest width of a head, and the widths at which row labels and text cells are broken into lines.
_HEAD_WIDTH, _LABEL_WIDTH, _TEXT_WIDTH = 8, 20, 34
# Tables with more columns than this have smaller gaps between columns.
_MANY_COLUMNS = 8
# Shrinks a table to the width of the text, and never enlarges it.
_SHRINK = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
# A table that is wider than this many points is split by its top-level heads into parts, one below the other.
_MAX_WIDTH = 760
# The same limit for tables with intervals: their smaller letters must still have 6 points after shrinking.
_MAX_WIDTH_WITH_INTERVALS = 560
# A long table cannot be shrunk, so wider rows get smaller letters and gaps: (width limit, font size, gap), all in points. The last
# limit is the largest width of a part.
_SIZES = ((540, r"\small", 6), (585, r"\footnotesize", 4), (620, r"\scriptsize", 3))
_SMALLEST = r"\fontsize{6}{7}\selectfont"
# Approximate sizes in points: a character's width, the gap between two columns, a line's height, and a page's width.
_POINTS, _GAP, _LINE, _PAGE = 5, 7, 13, 512
# Approximate characters per line, and points per line, of the note below a table.
_NOTE_CHARACTERS, _NOTE_LINE = 115, 9.5

# Widths of letters relative to a digit. Names of models and datasets consist mostly of capitals.
_WIDTHS = (
    dict.fromkeys("ABCDEFGHJKLNOPQRSTUVXYZ", 1.45)
    | dict.fromkeys("MWmw%±&<>~^#§€«»\N{MULTIPLICATION SIGN}\N{EN DASH}", 1.8)
    | dict.fromkeys("iljtf.,:;'!|()[] ", 0.65)
)

_DEVIATION, _PAPER, _REFERENCE = "±", "Paper", "Reference"
_NOT_COMPETING = ("difference", "random by activity", "paper", "to best", "place")
# "88.3 [85.7, 90.7]" is a value with its interval; "+7.1 [...]", with a sign, is a difference.
_WITH_INTERVAL = re.compile(r"(?P<before>\S.*?) (?P<interval>\[[^\]]*\])")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
_STACKED = r"\begin{tabular}[t]"
_UNIT = re.compile(r" (\([^()]*\))$")
_MINUS = re.compile(r"(?<!\w)-(?=\d)")


def head(text: str) -> str:
    """Return a column head with an arrow that shows whether higher or lower values are better."""
    direction = HIGHER_IS_BETTER.get(text)
    arrow = {True: r" $\uparrow$", False: r" $\downarrow$", None: ""}[direction]
    return escape(text) + arrow


def to_latex(
    table: pd.DataFrame,
    caption: str,
    label: str,
    highlight: bool = False,
    groups: Sequence[str] = (),
    precision: int = 2,
    note: str = "",
) -> str:
    """Return a table as LaTeX.

    The values of a column "± X" are written into the cells of column "X". A cell without a value shows "--"; the note says why.

    Values compete for the best and the second best of their column. Columns without a direction, columns of deviations, differences or
    the paper, and rows of references do not compete. Equal values get the same style, and a single value gets none.

    Args:
        table: The table with readable names and heads; the heads have one or several levels.
        caption: The caption; it names study, data, protocol and seeds.
        label: The LaTeX label for references.
        highlight: Whether the best value of each column is bold and the second best underlined.
        groups: Names of index levels; a row competes with the rows that have the same values in all these levels.
        precision: Number of decimals of floats.
        note: Further facts below the table. The note may be long, but LaTeX measures a caption as one line.

    Returns:
        The LaTeX text.
    """
    columns = _columns(table, precision)
    if highlight:
        for rows in _rivals(table, groups):
            for column in columns:
                _highlight(column, rows)
    parts = _parts(table, columns, _MAX_WIDTH)
    if table.columns.nlevels == 1 and _height(table, parts) > _MAX_HEIGHT:
        parts = [columns]  # a long table breaks over pages and cannot shrink, so smaller letters are better
    if any(cell.interval for column in columns for cell in column.cells):
        narrow = _parts(table, columns, _MAX_WIDTH_WITH_INTERVALS)
        # If the labels alone are too wide, the table can only shrink.
        parts = narrow if max(_points(table, part) for part in narrow) <= _SIZES[-1][0] else parts
    note_height = _NOTE_LINE * len(note) / _NOTE_CHARACTERS
    if len(table) > LONG or _height(table, parts) + note_height > _MAX_HEIGHT:
        return _long(table, _parts(table, columns, _SIZES[-1][0]), caption, label, note)
    return "\n".join(
        [
            r"% Needs booktabs and graphicx.",
            r"\begin{table}[htbp]",
            r"\centering",
            rf"\caption{{{escape(caption)}}}",
            rf"\label{{{label}}}",
            *([r"\setlength{\tabcolsep}{3.5pt}"] if table.index.nlevels + len(columns) > _MANY_COLUMNS else []),
            "\n\n\\medskip\n".join("\n".join(_tabular(table, part)) for part in parts),
            *_note(note),
            r"\end{table}",
            "",
        ]
    )


def _note(note: str) -> list[str]:
    """Return the lines of the note below a table, in small letters; no lines if the note is empty."""
    return ["", r"\smallskip", rf"{{\footnotesize\raggedright\noindent {escape(note)}\par}}"] if note else []


def _tabular(table: pd.DataFrame, columns: Sequence[_Column]) -> list[str]:
    return [
        _SHRINK,
        rf"\begin{{tabular}}{{{_alignment(table, columns)}}}",
        r"\toprule",
        *_heads(table, columns),
        r"\midrule",
        *_lines(_body(table, columns), table.index.nlevels),
        r"\bottomrule",
        r"\end{tabular}%",
        "}",
    ]


def _body(table: pd.DataFrame, columns: Sequence[_Column]) -> list[list[str]]:
    """Return the rows with their labels as LaTeX cells."""
    return [
        [*labels, *(column.cells[row].shown for column in columns)] for row, labels in enumerate(_index_texts(table))
    ]


@dataclass
class _Cell:
    """One cell of the table.

    Attributes:
        text: The value as LaTeX.
        value: The number that competes with others; None if the cell does not compete.
        deviation: The deviation as LaTeX, or "".
        interval: The interval as LaTeX, or "".
    """

    text: str
    value: float | None
    deviation: str = ""
    interval: str = ""

    @property
    def shown(self) -> str:
        """Return the value with its deviation, and its interval below."""
        value = self.text + self.deviation
        return _stacked([value, rf"{{\scriptsize {self.interval}}}"], "r") if self.interval else value


@dataclass
class _Column:
    """One column of the table.

    Attributes:
        heads: The heads from the top level to the last.
        cells: The cells from top to bottom.
        numeric: Whether the column contains numbers.
        higher_is_better: Whether higher values are better; None if the column does not compete.
        width: Approximate width of the widest cell in digits.
    """

    heads: tuple[str, ...]
    cells: list[_Cell]
    numeric: bool
    higher_is_better: bool | None
    width: int


def _columns(table: pd.DataFrame, precision: int) -> list[_Column]:
    """Return the columns of a table, each deviation in the cells of the column that it belongs to."""
    heads = [_levels(column) for column in table.columns]
    places = {key: place for place, key in enumerate(heads)}
    columns = []
    for place, key in enumerate(heads):
        if _plain(key) in places and _plain(key) != key:
            continue
        values = list(table.iloc[:, place])
        cells = [_cell(value, precision) for value in values]
        deviation = places.get((*key[:-1], f"{_DEVIATION} {key[-1]}"))
        if deviation is not None:
            for cell, value in zip(cells, table.iloc[:, deviation], strict=True):
                cell.deviation = "" if _missing(value) else rf" $\pm$ {_number(value, precision)}"
        known = [value for value in values if not _missing(value)]
        numeric = all(_is_number(v) or _NUMBER.fullmatch(str(v)) for v in known) or any(map(_with_interval, known))
        shown = [line for value in values for line in _broken(_displayed(value, precision), _TEXT_WIDTH)]
        deviations = (
            [_displayed(value, precision) for value in table.iloc[:, deviation]] if deviation is not None else []
        )
        # " ± " and the deviation follow the number.
        width = max(map(_length, shown), default=0) + max((_length(f" ± {text}") for text in deviations), default=0)
        columns.append(_Column(key, cells, numeric, _direction(key), width))
    return columns


def _parts(table: pd.DataFrame, columns: Sequence[_Column], limit: int) -> list[list[_Column]]:
    """Split columns into parts of at most about `limit` points; columns under one top-level head stay together."""
    groups = [list(group) for _, group in groupby(columns, lambda column: column.heads[0])]
    parts = [list(columns)]
    for count in range(1, len(groups) + 1):
        size = math.ceil(len(groups) / count)  # all parts have about equally many top-level heads
        parts = [[c for group in groups[at : at + size] for c in group] for at in range(0, len(groups), size)]
        if max(_points(table, part) for part in parts) <= limit:
            break
    return parts


def _points(table: pd.DataFrame, columns: Sequence[_Column]) -> int:
    """Return the approximate width in points of a table with all labels and the given columns."""
    widths = [
        max(_length(line) for line in _broken(column.heads[-1], max(column.width, _HEAD_WIDTH))) for column in columns
    ]
    widths = [max(width, column.width) for width, column in zip(widths, columns, strict=True)]
    keys = [_levels(key) for key in table.index]
    for level, name in enumerate(table.index.names):
        texts = [str(name or ""), *(key[level] for key in keys)]
        widths.append(max(_length(line) for text in texts for line in _broken(text, _LABEL_WIDTH)))
    return sum(_POINTS * width + _GAP for width in widths)


def _length(line: str) -> int:
    """Return the approximate width of a line in digits. A letter that pdflatex cannot typeset is as wide as its code point's text."""
    return math.ceil(sum(_width(letter) for letter in line))


def _width(letter: str) -> float:
    if letter in _WIDTHS:
        return _WIDTHS[letter]
    return float(len(shown)) if (shown := escape(letter)).startswith("U+") else 1.0


def _height(table: pd.DataFrame, parts: Sequence[Sequence[_Column]]) -> float:
    """Return the approximate height in points of a table that is shrunk to the width of a page."""
    height = 0.0
    for part in parts:
        lines = sum(1 + max(cell.count(r"\\") for cell in row) for row in _body(table, part))
        height += lines * _LINE * min(1, _PAGE / _points(table, part))
    return height


def _levels(name: Hashable) -> tuple[str, ...]:
    return tuple(map(str, name)) if isinstance(name, tuple) else (str(name),)


def _plain(key: tuple[str, ...]) -> tuple[str, ...]:
    """Return the heads of the column that a deviation belongs to; for other columns, return their own heads."""
    return (*key[:-1], key[-1].removeprefix(f"{_DEVIATION} "))


def _direction(key: tuple[str, ...]) -> bool | None:
    """Return whether higher values are better; None if the column does not compete."""
    if any(head.startswith((_DEVIATION, _PAPER)) or head.lower() in _NOT_COMPETING for head in key):
        return None
    return next((HIGHER_IS_BETTER[head] for head in key if head in HIGHER_IS_BETTER), None)


def _missing(value: Any) -> bool:
    return bool(
        value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)) or value in ("", "-")
    )


def _with_interval(value: Any) -> re.Match[str] | None:
    return _WITH_INTERVAL.fullmatch(value) if isinstance(value, str) else None


def _cell(value: Any, precision: int) -> _Cell:
    if _missing(value):
        return _Cell("--", None)
    if isinstance(value, str):
        match = _with_interval(value)
        if not match:
            return (
                _Cell(_MINUS.sub("$-$", value), float(value))
                if _NUMBER.fullmatch(value)
                else _Cell(_paragraph(value), None)
            )
        before, interval = (_MINUS.sub("$-$", escape(match[part])) for part in ("before", "interval"))
        number = float(match["before"]) if _NUMBER.fullmatch(match["before"]) else None
        return _Cell(before, number, interval=interval)
    if not _is_number(value):
        return _Cell(_paragraph(str(value)), None)
    return _Cell(_number(value, precision), round(float(value), precision))


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _number(value: float, precision: int) -> str:
    """Return a number as LaTeX with thousands separators; infinite values become an infinity sign."""
    if isinstance(value, float) and math.isinf(value):
        return r"$\infty$" if value > 0 else r"$-\infty$"
    shown = f"{abs(value):,.{precision}f}" if isinstance(value, float) else f"{abs(value):,}"
    return f"$-${shown}" if value < 0 and shown.strip("0.,") else shown


def _displayed(value: Any, precision: int) -> str:
    """Return a text about as wide as the cell. An interval is below its value in small letters, so three quarters of its width count."""
    if match := _with_interval(value):
        return max(match["before"], match["interval"][: -len(match["interval"]) // 4], key=len)
    return f"{value:,.{precision}f}" if isinstance(value, float) else str(value)


def _paragraph(text: str, width: int = _TEXT_WIDTH) -> str:
    """Return the text of a cell as LaTeX; long texts are broken between words."""
    lines = _broken(text, width)
    return escape(text) if len(lines) == 1 else _stacked([escape(line) for line in lines], "l")


def _stacked(lines: Sequence[str], side: str, place: str = "t") -> str:
    """Return several lines of LaTeX as one cell, so that the column is only as wide as the widest line."""
    return rf"\begin{{tabular}}[{place}]{{@{{}}{side}@{{}}}}" + r"\\".join(lines) + r"\end{tabular}"


def _broken(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def _rivals(table: pd.DataFrame, groups: Sequence[str]) -> list[list[int]]:
    """Return the groups of row positions that compete with each other."""
    rivals: dict[tuple[Hashable, ...], list[int]] = {}
    levels = [table.index.get_level_values(name) for name in groups]
    for place, key in enumerate(table.index):
        if _REFERENCE not in _levels(key):
            rivals.setdefault(tuple(level[place] for level in levels), []).append(place)
    return list(rivals.values())


def _highlight(column: _Column, rows: Sequence[int]) -> None:
    """Make the best of the rows bold and underline the second best. Values are compared as they are shown, after rounding."""
    competing = [column.cells[row] for row in rows if column.cells[row].value is not None]
    if column.higher_is_better is None or len(competing) < 2:
        return
    values = sorted({cell.value for cell in competing if cell.value is not None}, reverse=column.higher_is_better)
    for cell in competing:
        if cell.value == values[0]:
            cell.text = rf"\textbf{{{cell.text}}}"
        elif cell.value == values[1]:
            cell.text = rf"\underline{{{cell.text}}}"


def _alignment(table: pd.DataFrame, cells: Sequence[_Column]) -> str:
    return "l" * table.index.nlevels + "".join("r" if column.numeric else "l" for column in cells)


def _heads(table: pd.DataFrame, columns: Sequence[_Column]) -> list[str]:
    """Return the lines of column heads; the last line also names the index levels."""
    index, levels = table.index.nlevels, table.columns.nlevels
    lines: list[str] = []
    for level in range(levels - 1):
        parts, rules, place = [], [], index + 1
        for key, group in groupby(column.heads[: level + 1] for column in columns):
            count = len(list(group))
            if key[-1]:
                width = sum(max(column.width, _HEAD_WIDTH) for column in columns[place - index - 1 :][:count])
                parts.append(rf"\multicolumn{{{count}}}{{c}}{{{_stacked_head(key[-1], 'c', width)}}}")
                rules.append(rf"\cmidrule(lr){{{place}-{place + count - 1}}}")
            else:
                parts += [""] * count
            place += count
        lines += [" & ".join([*[""] * index, *parts]) + r" \\", " ".join(rules)]
    names = [_index_name(str(name or "")) for name in table.index.names]
    last = [_stacked_head(column.heads[-1], "r" if column.numeric else "l", column.width) for column in columns]
    return [*(line for line in lines if line), " & ".join([*names, *last]) + r" \\"]


def _index_name(text: str) -> str:
    lines = _broken(text.capitalize() if text.islower() else text, _LABEL_WIDTH)
    return _stacked([escape(line) for line in lines], "l", "b") if len(lines) > 1 else escape(lines[0])


def _stacked_head(text: str, side: str, width: int) -> str:
    if len(text) <= width and side == "c":
        return head(text)
    unit = _UNIT.search(text)
    name = text[: unit.start()] if unit else text
    lines = [*_broken(name, max(width, _HEAD_WIDTH)), *([unit[1]] if unit else [])]
    if len(lines) == 1:
        return head(text)
    arrow = head(text).removeprefix(escape(text))
    return _stacked([*map(escape, lines[:-1]), escape(lines[-1]) + arrow], side, "b")


def _index_texts(table: pd.DataFrame) -> list[list[str]]:
    return [
        [("--" if label == "-" else _paragraph(label, _LABEL_WIDTH)) for label in _levels(key)] for key in table.index
    ]


def _lines(body: Sequence[list[str]], levels: int) -> Iterator[str]:
    """Yield the rows as LaTeX, with a gap where the first label changes. Labels that repeat the row above are left out, except the last."""
    above: list[str] = []
    for row in body:
        shared = next((level for level in range(levels - 1) if not above or above[level] != row[level]), levels - 1)
        if above and levels > 1 and shared == 0:
            yield r"\addlinespace"
        has_several_lines = any(_STACKED in cell for cell in row)
        yield " & ".join([*[""] * shared, *row[shared:]]) + (r" \\[2pt]" if has_several_lines else r" \\")
        above = row


def _long(table: pd.DataFrame, parts: Sequence[Sequence[_Column]], caption: str, label: str, note: str) -> str:
    """Return a table that breaks over pages, in which every row has all its labels."""
    width = max(_points(table, part) for part in parts)
    size, gap = next(((size, gap) for limit, size, gap in _SIZES if width <= limit), _SIZES[-1][1:])
    lines = [r"% Needs booktabs and longtable.", rf"{{{size}\setlength{{\tabcolsep}}{{{gap}pt}}"]
    for place, part in enumerate(parts):
        count = table.index.nlevels + len(part)
        heads = [r"\toprule", *_heads(table, part), r"\midrule"]
        continued = rf"\multicolumn{{{count}}}{{l}}{{(continued)}}\\"
        lines += [
            rf"\begin{{longtable}}{{{_alignment(table, part)}}}",
            continued if place else rf"\caption{{{escape(caption)}}}\label{{{label}}}\\",
            *heads,
            r"\endfirsthead",
            continued,
            *heads,
            r"\endhead",
            r"\midrule",
            rf"\multicolumn{{{count}}}{{r}}{{(continued on the next page)}}\\",
            r"\endfoot",
            r"\bottomrule",
            r"\endlastfoot",
            *(" & ".join(row) + r" \\" for row in _body(table, part)),
            r"\end{longtable}",
            *([r"\addtocounter{table}{-1}"] if place else []),  # every longtable increases the table counter
        ]
    # Intervals are smaller than the other text at every font size.
    return "\n".join([*lines, *_note(note), "}", ""]).replace(r"{\scriptsize {[}", rf"{{{_SMALLEST} {{[}}")
