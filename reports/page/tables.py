"""Writes HTML tables that can be sorted and filtered: column heads store the kind of their column, and cells their sort key."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from itertools import groupby
from numbers import Real
from typing import Any

import pandas as pd
from markupsafe import Markup, escape

from reports.measures import HIGHER_IS_BETTER
from reports.page.terms import explained

DASH = "\N{EN DASH}"
_DASHES = ("", "-", DASH, "\N{EM DASH}")
# Cells, and row labels, with more characters than this wrap into lines of a minimal width.
_LONG, _LONG_LABEL = 28, 60
# Words of row labels with more characters than this, such as the ids of cells, may break at any place.
_LONG_WORD = 20
# A number with optional interval and model: "62.5 [59.3, 65.3], A-net HPS".
_NUMBER = re.compile(r"([+-]?\d[\d,]*(?:\.\d+)?)\s*%?\s*(?:\[[^\]]*\])?(, .+)?")
# A number and its interval.
_INTERVAL = re.compile(r"(\S+) (\[[^\]]*\])")


def to_html(
    table: pd.DataFrame,
    caption: str,
    best: bool = False,
    within: Sequence[str] = (),
    apart: Collection[int] = (),
    of_paper: Collection[int] = (),
) -> Markup:
    """Return a table as HTML with escaped names and the index as its first columns.

    The role of a row or column never depends on its name, because users choose names.

    Args:
        table: The table with one or several levels of columns; the values of a column "± X" are written into the cells of "X".
        caption: The name of the table for screen readers.
        best: Whether the best values of each column of a known metric are bold.
        within: Names of index levels; rows compete within each group of equal values.
        apart: Positions of rows that do not compete; they stay below the other rows, in their order, however the table is sorted.
        of_paper: Positions of columns that contain numbers of the paper.
    """
    deviations = _deviations(table)
    shown = [i for i in range(table.shape[1]) if i not in deviations.values()]
    flat = [_columns(table, i) for i in shown]
    index = [[str(label) for label in _levels(key)] for key in table.index]
    below = [i in apart for i in range(len(index))]
    if all(below):
        below = [False] * len(below)
    groups = [tuple(labels[table.index.names.index(name)] for name in within) for labels in index]
    winners = {i: _best(table.iloc[:, i], _columns(table, i), below, groups) if best else set() for i in shown}
    columns = [[labels[i] for labels in index] for i in range(table.index.nlevels)]
    columns += [list(table.iloc[:, i]) for i in shown]
    kinds, worded = [_kind(values) for values in columns], [_is_worded(values) for values in columns]
    rows: list[tuple[bool, Markup]] = []
    for r, labels in enumerate(index):
        heads = Markup("").join(_row_head(label) for label in labels)
        cells = Markup("").join(
            _cell(
                table.iloc[r, i],
                r in winners[i],
                i in of_paper,
                words,
                table.iloc[r, deviations[i]] if i in deviations else None,
            )
            for i, words in zip(shown, worded[table.index.nlevels :], strict=True)
        )
        rows.append((below[r], Markup("<tr>{}{}</tr>").format(heads, cells)))
    bodies = Markup("").join(
        Markup("<tbody{}>{}</tbody>").format(
            Markup(' class="apart"') if is_apart else "",
            Markup("\n").join(row for row_is_apart, row in rows if row_is_apart == is_apart),
        )
        for is_apart in (False, True)
        if is_apart in below
    )
    return Markup('<table class="sortable{}"><caption class="unseen">{}</caption><thead>{}</thead>{}</table>').format(
        " deep" if table.columns.nlevels > 1 else "",
        caption,
        _head(table, flat, kinds, worded, [i in of_paper for i in shown]),
        bodies,
    )


def _levels(key: Any) -> tuple[Any, ...]:
    return key if isinstance(key, tuple) else (key,)


def _columns(table: pd.DataFrame, position: int) -> tuple[str, ...]:
    return tuple(str(label) for label in _levels(table.columns[position]))


def _head(
    table: pd.DataFrame,
    flat: Sequence[tuple[str, ...]],
    kinds: Sequence[str],
    worded: Sequence[bool],
    of_paper: Sequence[bool],
) -> Markup:
    """Return the rows of heads: upper levels span their columns, and the last level has the buttons that sort."""
    rows = []
    for level in range(table.columns.nlevels - 1):
        name = table.columns.names[level] or ""
        cells = [Markup('<td colspan="{}">{}</td>').format(table.index.nlevels, name)]
        for prefix, columns in groupby(flat, key=lambda head: head[: level + 1]):
            cells.append(
                Markup('<th colspan="{}" scope="colgroup">{}</th>').format(len(list(columns)), explained(prefix[-1]))
            )
        rows.append(Markup('<tr class="group">{}</tr>').format(Markup("").join(cells)))
    names = [str(name) if name is not None else "" for name in table.index.names]
    heads = [*((name,) for name in names), *flat]
    tagged = [False] * len(names) + [*of_paper]
    last = Markup("").join(
        Markup('<th scope="col" data-kind="{}"{}><button type="button">{}{}</button></th>').format(
            kind,
            _classes(("words", words), ("paper", tag)),
            Markup('<span class="tag">paper</span>') if tag and head[-1] != "paper" else "",
            explained((head[-1].removeprefix("Paper: ") if tag else head[-1]) or "Name"),
        )
        for head, kind, words, tag in zip(heads, kinds, worded, tagged, strict=True)
    )
    return Markup("\n").join([*rows, Markup("<tr>{}</tr>").format(last)])


def _row_head(label: str) -> Markup:
    long = _classes(("long", len(label) > _LONG_LABEL), ("id", max(map(len, label.split()), default=0) > _LONG_WORD))
    return Markup('<th scope="row"{}{}>{}</th>').format(long, _key_of(label), DASH if label in _DASHES else label)


def _deviations(table: pd.DataFrame) -> dict[int, int]:
    """Return the position of each column "± X" by the position of its column "X"."""
    places = {_columns(table, i): i for i in range(table.shape[1])}
    deviations = {i: places.get((*key[:-1], f"± {key[-1]}")) for key, i in places.items()}
    return {i: place for i, place in deviations.items() if place is not None}


def _cell(value: Any, winner: bool, of_paper: bool, words: bool, deviation: Any) -> Markup:
    long = isinstance(value, str) and len(value) > _LONG
    classes = _classes(("words", words), ("best", winner), ("paper", of_paper), ("long", long))
    text, more = _text(value), ""
    if deviation is not None and not _is_missing(deviation):
        more = f"± {_text(deviation)}"
    elif not words and (interval := _INTERVAL.fullmatch(text)):
        text, more = interval[1], interval[2]
    # The deviation or interval moves below the number if there is little room.
    spread = Markup(' <span class="more">{}</span>').format(more) if more else ""
    return Markup("<td{}{}>{}{}</td>").format(classes, _key_of(value), text, spread)


def _classes(*conditions: tuple[str, bool]) -> Markup:
    """Return the attribute `class` with the names whose condition is true."""
    names = [name for name, is_true in conditions if is_true]
    return Markup(' class="{}"').format(" ".join(names)) if names else Markup("")


def _key_of(value: Any) -> Markup:
    """Return the sort key of a cell, if it is not the text of the cell; a dash has the key "" and comes last."""
    if _is_missing(value):
        return Markup(' data-key=""')
    number = _number(value)
    return Markup("") if number is None else Markup(' data-key="{}"').format(f"{number:.10g}")


def _kind(values: Sequence[Any]) -> str:
    numbers = [_number(value) for value in values if not _is_missing(value)]
    return "number" if numbers and None not in numbers else "text"


def _is_worded(values: Sequence[Any]) -> bool:
    """Return whether a column contains words, also if it is sorted by the numbers before these words."""
    has_names = any(isinstance(v, str) and (match := _NUMBER.fullmatch(v.strip())) and match[2] for v in values)
    return has_names or _kind(values) == "text"


def _is_missing(value: Any) -> bool:
    return value.strip() in _DASHES if isinstance(value, str) else bool(pd.isna(value))


def _number(value: Any) -> float | None:
    """Return the number in a cell, also from a text such as "12.3 [10.0, 14.1]"; None if the cell does not begin with a number."""
    if value == "best":
        return 0.0  # the difference of the best model to the best model
    if isinstance(value, str):
        match = _NUMBER.fullmatch(value.strip())
        return float(match[1].replace(",", "")) if match else None
    return float(value) if isinstance(value, Real) and not isinstance(value, bool) else None


def _text(value: Any) -> str:
    if _is_missing(value):
        return DASH
    if isinstance(value, str):
        return value
    if isinstance(value, Real) and not isinstance(value, bool):
        number = float(value)
        return f"{value:,}" if number.is_integer() and not _is_float(value) else f"{number:,.2f}"
    return str(escape(value))


def _is_float(value: Any) -> bool:
    return isinstance(value, float) or getattr(getattr(value, "dtype", None), "kind", "") == "f"


def _best(
    column: pd.Series, head: tuple[str, ...], apart: Sequence[bool], groups: Sequence[tuple[str, ...]]
) -> set[int]:
    """Return the rows whose value, as shown, is the best of its group; no rows if the column has no known metric."""
    higher = HIGHER_IS_BETTER.get(head[-1])
    if higher is None or not pd.api.types.is_numeric_dtype(column):
        return set()
    rivals: dict[tuple[str, ...], dict[int, float]] = {}
    for i, value in enumerate(column):
        if not apart[i] and not pd.isna(value):
            rivals.setdefault(groups[i], {})[i] = round(float(value), 2)
    winners: set[int] = set()
    for values in rivals.values():
        best = max(values.values()) if higher else min(values.values())
        winners |= {i for i, value in values.items() if value == best and len(values) > 1}
    return winners
