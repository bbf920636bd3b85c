"""A script that describes a user's module; `endoarss.components.user_modules` runs it in a separate process.

Its arguments are the module's name and, as JSON, the registries of other packages. It prints the descriptions, or an error, as JSON.
"""

from __future__ import annotations

import json
import os
import sys

from endoarss.components.user_modules import sources_of
from endoarss.errors import SettingsError
from endoarss.registry import describe_imported


def main(module: str, others: str) -> None:
    """Import a module and print the descriptions of its components as JSON.

    Args:
        module: the name of the module.
        others: the argument `others` of `endoarss.registry.add_module`, as JSON.
    """
    # The module itself may print something, even from C code; redirect that to standard error.
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        reply = {"components": describe_imported(module, json.loads(others)), "files": sources_of(module)}
    except SettingsError as error:
        reply = {"error": str(error)}
    output.write(json.dumps(reply))
    output.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
