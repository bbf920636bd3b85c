"""The error of this package; the module imports nothing, so that the command line can import it quickly."""

from __future__ import annotations


class ResultsError(ValueError):
    """A result table cannot be reported; the message says which file and why."""
