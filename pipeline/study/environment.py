"""Replace environment variables in the paths of a study."""

from __future__ import annotations

import os
import re

from pipeline.errors import InputError


def expand(text: str) -> str:
    """Replace each ${NAME} in a text by the value of the environment variable.

    Raises:
        InputError: if a variable is not set.
    """

    def fill(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise InputError(f"{text!r}: the environment variable {match[1]} is not set.")
        return os.environ[match[1]]

    return re.sub(r"\$\{(\w+)\}", fill, text)
