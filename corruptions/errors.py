"""The errors of this package."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class CorruptionError(ValueError):
    """An image, name, severity or parameter that cannot be used; the message says what was given and what is expected."""


class UnknownNameError(CorruptionError):
    """A name that is not known; the message lists the closest known names, then all of them."""

    def __init__(self, kind: str, name: object, known: Iterable[object], where: str = "") -> None:
        names = list(map(str, known))
        close = " or ".join(map(repr, get_close_matches(str(name).lower().replace("-", "_"), names)))
        question = f" Did you mean {close}?" if close else ""
        super().__init__(f"{where}unknown {kind} {name!r}.{question} Known: {', '.join(names)}.")


class WorkerKilledError(CorruptionError):
    """A worker process was killed."""
