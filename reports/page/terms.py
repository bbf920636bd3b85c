"""Links abbreviations on the page to the page's glossary, and finds those that must be spelled out at their first use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pandas as pd
from markupsafe import Markup

from reports.glossary import GLOSSARY, Term, pieces_of, terms_in


class Terms:
    """The abbreviations that a page has used so far, in the order in which it is rendered."""

    def __init__(self) -> None:
        self._spelled_out: set[Term] = set()
        self._linked: set[Term] = set()

    def linked(self, text: str) -> Markup:
        """Return a text as HTML in which every abbreviation links to its entry in the glossary."""
        entry = Markup('<a class="term" href="#{}" title="{}">{}</a>')
        self._linked.update(terms_in([text]))
        return _joined(
            entry.format(term.anchor, term.full, piece) if term else piece for piece, term in pieces_of(text)
        )

    def first_used(self, *texts: str, table: pd.DataFrame | None = None) -> list[Term]:
        """Return the terms that texts or a table use for the first time on the page."""
        used = terms_in([*texts, *([] if table is None else dict.fromkeys(_texts_of(table)))])
        new = [term for term in used if term not in self._spelled_out]
        self._spelled_out.update(new)
        return new

    def used(self) -> list[Term]:
        """Return all terms that the page uses, in the order of the glossary."""
        return [term for term in GLOSSARY if term in self._spelled_out | self._linked]


def explained(text: str) -> Markup:
    """Return a text as HTML in which abbreviations show their full name under the mouse pointer; for column heads, which hold no links."""
    entry = Markup('<abbr title="{}">{}</abbr>')
    return _joined(entry.format(term.full, piece) if term else piece for piece, term in pieces_of(text))


def _joined(pieces: Iterable[str]) -> Markup:
    return Markup("").join(pieces)


def _texts_of(table: pd.DataFrame) -> Iterator[str]:
    for axis in (table.columns, table.index):
        yield from (str(name) for name in axis.names if name)
        yield from (str(label) for key in axis for label in (key if isinstance(key, tuple) else (key,)))
    for place in range(table.shape[1]):
        yield from (value for value in table.iloc[:, place] if isinstance(value, str))
