"""Describes a user's module: a script that `endoarss.components.user_modules` runs in a process of its own.

Its arguments are the module's name, and as JSON the registries of other packages. It prints the descriptions, or what is wrong, as JSON.
"""

from __future__ import annotations

import json
import os
import sys

from endoarss.components.user_modules import sources_of
from endoarss.errors import SettingsError
from endoarss.registry import describe_imported


def main(module: str, others: str) -> None:
    """Import a module and print what its components are, as JSON."""
    # What the module prints, from whatever language, is no part of the answer.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        reply = {"components": describe_imported(module, json.loads(others)), "files": sources_of(module)}
    except SettingsError as error:
        reply = {"error": str(error)}
    answers.write(json.dumps(reply))
    answers.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
