"""Return the last output of a failed program, for error messages."""

from __future__ import annotations

import errno
import os
import re
import subprocess

from corruptions.system_errors import explained

# How Python prints a system error, with its file if it has one.
_SYSTEM_ERROR = re.compile(r"(?:\w+Error:|unexpected error -) \[Errno (\d+)\] [^\n:]*(?:: '([^'\n]+)')?")


def last_output(run: subprocess.CompletedProcess[str], own_folder: str) -> str:
    """Return the last system error that a failed program printed, as a sentence; without one, the last lines of its output.

    Errors about missing files are left out, because programs look for files that need not exist.

    Args:
        run: the run of the program.
        own_folder: the folder of the program's own files, which the sentence names if the error has no file name.
    """
    output = (run.stdout + run.stderr).strip()
    system_errors = [
        (int(number), path) for number, path in _SYSTEM_ERROR.findall(output) if int(number) != errno.ENOENT
    ]
    if system_errors:
        number, path = system_errors[-1]
        return explained(OSError(number, os.strerror(number), path or own_folder))
    return "\n".join(output.splitlines()[-12:])
