"""A data frame as an HTML table that sorts and filters: each head says what kind its column is, each cell what it sorts by."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from numbers import Real
from typing import Any

import pandas as pd
from markupsafe import Markup, escape

from reports.names import HIGHER_IS_BETTER

DASH = "\N{EN DASH}"
_DASHES = ("", "-", DASH, "\N{EM DASH}")
# Texts of more characters wrap, and need room for it.
_LONG, _LONG_HEAD = 28, 60
_NUMBER = re.compile(r"([+-]?\d[\d,]*(?:\.\d+)?)\s*%?\s*(?:\[.*\])?")
# Rows that are no rivals of the others: they stay below, in their order, however the rest is sorted.
_APART = re.compile(r"(reference|not averaged|clean|mean|mean .*|paper|paper[:,].*)", re.IGNORECASE)
_PUBLISHED = re.compile(r"(in )?(the )?paper\b.*", re.IGNORECASE)


def to_html(table: pd.DataFrame, caption: str, best: bool = False) -> Markup:
    """A table as HTML, names escaped, the index as its first columns.

    Args:
        table: with one level of columns or several. caption: what screen readers call it. best: whether the best of each column of a known
        metric are marked.
    """
    flat = [_columns(table, i) for i in range(table.shape[1])]
    index = [[str(label) for label in _levels(key)] for key in table.index]
    apart = [any(_APART.fullmatch(label) for label in labels) for labels in index]
    if all(apart):
        apart = [False] * len(apart)
    winners = [_best(table.iloc[:, i], flat[i], apart) if best else set() for i in range(table.shape[1])]
    kinds = [_kind([labels[i] for labels in index]) for i in range(table.index.nlevels)]
    of_columns = [_kind(list(table.iloc[:, i])) for i in range(table.shape[1])]
    kinds += of_columns
    rows: list[tuple[bool, Markup]] = []
    for r, labels in enumerate(index):
        heads = Markup("").join(_row_head(label) for label in labels)
        cells = Markup("").join(
            _cell(table.iloc[r, i], r in winners[i], _is_published(flat[i]), of_columns[i])
            for i in range(table.shape[1])
        )
        rows.append((apart[r], Markup("<tr>{}{}</tr>").format(heads, cells)))
    bodies = Markup("").join(
        Markup("<tbody{}>{}</tbody>").format(
            Markup(' class="apart"') if below else "", Markup("\n").join(row for of_row, row in rows if of_row == below)
        )
        for below in (False, True)
        if below in apart
    )
    return Markup('<table class="sortable{}"><caption class="unseen">{}</caption><thead>{}</thead>{}</table>').format(
        " deep" if table.columns.nlevels > 1 else "", caption, _head(table, flat, kinds), bodies
    )


def _levels(key: Any) -> tuple[Any, ...]:
    return key if isinstance(key, tuple) else (key,)


def _columns(table: pd.DataFrame, position: int) -> tuple[str, ...]:
    return tuple(str(label) for label in _levels(table.columns[position]))


def _is_published(head: Sequence[str]) -> bool:
    """Whether a column holds what somebody published elsewhere."""
    return any(_PUBLISHED.fullmatch(label) for label in head)


def _head(table: pd.DataFrame, flat: Sequence[tuple[str, ...]], kinds: Sequence[str]) -> Markup:
    """Rows of heads: upper levels span their columns, the last level has the buttons that sort."""
    rows = []
    for level in range(table.columns.nlevels - 1):
        name = table.columns.names[level] or ""
        cells = [Markup('<td colspan="{}">{}</td>').format(table.index.nlevels, name)]
        for prefix, columns in groupby(flat, key=lambda head: head[: level + 1]):
            cells.append(Markup('<th colspan="{}" scope="colgroup">{}</th>').format(len(list(columns)), prefix[-1]))
        rows.append(Markup('<tr class="group">{}</tr>').format(Markup("").join(cells)))
    names = [str(name) if name is not None else "" for name in table.index.names]
    heads = [*((name,) for name in names), *flat]
    last = Markup("").join(
        Markup('<th scope="col" data-kind="{}"{}><button type="button">{}{}</button></th>').format(
            kind,
            Markup(' class="published"') if i >= len(names) and _is_published(head) else "",
            Markup('<span class="tag">published</span>') if i >= len(names) and _is_published(head) else "",
            head[-1] or "Name",
        )
        for i, (head, kind) in enumerate(zip(heads, kinds, strict=True))
    )
    return Markup("\n").join([*rows, Markup("<tr>{}</tr>").format(last)])


def _row_head(label: str) -> Markup:
    tag = Markup(' <span class="tag">published</span>') if _PUBLISHED.fullmatch(label) else ""
    long = Markup(' class="long"') if len(label) > _LONG_HEAD else ""
    return Markup('<th scope="row"{}{}>{}{}</th>').format(
        long, _key_of(label), DASH if label in _DASHES else label, tag
    )


def _cell(value: Any, winner: bool, published: bool, kind: str) -> Markup:
    long = isinstance(value, str) and len(value) > _LONG
    marks = (("words", kind == "text"), ("best", winner), ("published", published), ("long", long))
    names = [name for name, holds in marks if holds]
    kinds = Markup(' class="{}"').format(" ".join(names)) if names else ""
    return Markup("<td{}{}>{}</td>").format(kinds, _key_of(value), _text(value))


def _key_of(value: Any) -> Markup:
    """What a cell sorts by, if that is not its text; a dash has the key "", and comes last."""
    if _is_missing(value):
        return Markup(' data-key=""')
    number = _number(value)
    return Markup("") if number is None else Markup(' data-key="{}"').format(f"{number:.10g}")


def _kind(values: Sequence[Any]) -> str:
    found = [_number(value) for value in values if not _is_missing(value)]
    return "number" if found and None not in found else "text"


def _is_missing(value: Any) -> bool:
    return value.strip() in _DASHES if isinstance(value, str) else bool(pd.isna(value))


def _number(value: Any) -> float | None:
    """The number in a cell: a number, or what a text such as "12.3 [10.0, 14.1]" begins with."""
    if value == "best":
        return 0.0  # among differences to the best
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


def _best(column: pd.Series, head: tuple[str, ...], apart: Sequence[bool]) -> set[int]:
    """The rows with the best value of a column, as it is shown; none of a column whose metric is not known."""
    higher = HIGHER_IS_BETTER.get(head[-1])
    if higher is None or not pd.api.types.is_numeric_dtype(column):
        return set()
    rivals = {i: round(float(v), 2) for i, v in enumerate(column) if not apart[i] and not pd.isna(v)}
    if len(rivals) < 2:
        return set()
    top = max(rivals.values()) if higher else min(rivals.values())
    return {i for i, value in rivals.items() if value == top}
