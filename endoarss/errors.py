"""Errors that people read: what was given, where, and what is allowed."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class SettingsError(ValueError):
    """A setting of a model, weighting or training that cannot be used."""


class UnknownNameError(SettingsError):
    """A name that stands for nothing; the message lists the known ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str], where: str = "") -> None:
        known, said = tuple(known), f"{where}unknown {kind} {shown(name)}"
        super().__init__(f"{said}.{suggestion(name, known)} Known: {', '.join(known) or 'none'}.")


class MediaError(ValueError):
    """A picture, video or array that cannot be predicted; the message names it, where it has a name."""


class TrainingError(RuntimeError):
    """A training that cannot go on, with the epoch, step and task it stopped at."""


def suggestion(name: str, known: Iterable[str], limit: int = 3) -> str:
    """Return a question that names the known names closest to a mistyped one.

    Args:
        name: what was given. Upper and lower case, and `-` and `_`, count as the same.
        known: the names that would be accepted.
        limit: how many of them are named at most.

    Returns:
        Such as " Did you mean 'db_mtl'?", with a leading space; empty if no known name is close.
    """
    by_spelling = {_spelling(one): one for one in known}
    close = [repr(by_spelling[one]) for one in get_close_matches(_spelling(name), by_spelling, limit)]
    return f" Did you mean {' or '.join(close)}?" if close else ""


def shown(value: object, length: int = 80) -> str:
    """Return a value as messages show it: its `repr`, cut where it is longer than `length` characters."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, or lists in lists without end
        text = f"a value of type {type(value).__name__} that is too long to be shown"
    return text if len(text) <= length else f"{text[: length - 3]}..."


def _spelling(name: str) -> str:
    return str(name).lower().replace("-", "_")
