"""Environment variables in the paths of a study."""

from __future__ import annotations

import os
import re

from pipeline.errors import InputError


def expand(text: str) -> str:
    """Fill in ${NAME} from the environment.

    Raises:
        InputError: if the variable is not set.
    """

    def fill(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise InputError(f"{text!r} names the environment variable {match[1]}, which is not set.")
        return os.environ[match[1]]

    return re.sub(r"\$\{(\w+)\}", fill, text)
