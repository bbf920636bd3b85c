"""The last output of a failed program, for error messages."""

from __future__ import annotations

import errno
import os
import re
import subprocess

from corruptions.system_errors import explained

# How Python prints a system error, with its file if it has one.
_REFUSED = re.compile(r"(?:\w+Error:|unexpected error -) \[Errno (\d+)\] [^\n:]*(?:: '([^'\n]+)')?")


def last_words(run: subprocess.CompletedProcess[str], own: str) -> str:
    """Return the last lines that a failed program printed, or a sentence if the system refused something.

    Args:
        run: the run of the program.
        own: the folder of the program's own files, for errors without a file name.
    """
    output = (run.stdout + run.stderr).strip()
    refused = [(int(number), path) for number, path in _REFUSED.findall(output) if int(number) != errno.ENOENT]
    if refused:
        number, path = refused[-1]
        return explained(OSError(number, os.strerror(number), path or own))
    return "\n".join(output.splitlines()[-12:])
