"""The error that this package raises. This module imports nothing, so that the command line starts quickly."""

from __future__ import annotations


class ResultsError(ValueError):
    """Raised if a result table cannot be reported; the message says which file, why, and what to do."""
