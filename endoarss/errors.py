"""Exceptions of this package; their messages say what was given, where, and what is allowed."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

# Values that earlier versions used, with the values that replace them; CHANGELOG.md lists them.
EARLIER_NAMES = {"published": ("random_by_activity", "authors_code"), "released": ("given",)}


class SettingsError(ValueError):
    """A setting of a model, weighting or training that cannot be used."""


class UnknownNameError(SettingsError):
    """A name that is not registered; the message lists the known names.

    Args:
        kind: what is named, such as "weighting".
        name: the unknown name.
        known: the names that are accepted.
        where: text that begins the message, such as "mergers: ".
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], where: str = "") -> None:
        known, problem = tuple(known), f"{where}unknown {kind} {shown(name)}"
        super().__init__(f"{problem}.{suggestion(name, known)} Known: {', '.join(known) or 'none'}.")


class MediaError(ValueError):
    """An image, video or array that cannot be predicted; if it is a file, the message names the file."""


class TrainingError(RuntimeError):
    """A training that cannot continue; the message says in which epoch, and in which step if that is known."""


def suggestion(name: str, known: Iterable[str], limit: int = 3) -> str:
    """Return a sentence that suggests names for a mistyped or outdated one.

    Args:
        name: the name that was given. Upper and lower case count as the same, and so do `-` and `_`.
        known: the names that are accepted.
        limit: the largest number of names to suggest.

    Returns:
        A sentence such as " Did you mean 'db_mtl'?" or " It is called 'given' now.", with a leading space; empty if no known name is close.
    """
    renamed = [new for new in known if new in EARLIER_NAMES.get(str(name), ())]
    if renamed:
        return f" It is called {renamed[0]!r} now."
    by_spelling = {_spelling(known_name): known_name for known_name in known}
    close = [repr(by_spelling[match]) for match in get_close_matches(_spelling(name), by_spelling, limit)]
    return f" Did you mean {' or '.join(close)}?" if close else ""


def shown(value: object, length: int = 80) -> str:
    """Return the text with which messages show a value.

    Args:
        value: any value.
        length: the largest number of characters; longer text is cut.

    Returns:
        The value's `repr`, possibly cut.
    """
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number with thousands of digits, or lists nested too deeply
        text = f"a value of type {type(value).__name__} that is too long to be shown"
    return text if len(text) <= length else f"{text[: length - 3]}..."


def _spelling(name: str) -> str:
    return str(name).lower().replace("-", "_")
