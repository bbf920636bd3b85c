"""What goes wrong in reports; imports nothing, so that the command line may know it cheaply."""

from __future__ import annotations


class ResultsError(ValueError):
    """A result table that cannot be reported; says which file and why."""
