"""What a program said at its end, for messages of ours."""

from __future__ import annotations

import errno
import os
import re
import subprocess

from corruptions.system_errors import explained

# How Python shows an error of the system, with the file where it has one.
_REFUSED = re.compile(r"(?:\w+Error:|unexpected error -) \[Errno (\d+)\] [^\n:]*(?:: '([^'\n]+)')?")


def last_words(run: subprocess.CompletedProcess[str], own: str) -> str:
    """Return the end of what a failed program said; in a sentence, what the system refused it.

    Args:
        run: of the program. own: the folder that it keeps its own files in, which it does not name.
    """
    said = (run.stdout + run.stderr).strip()
    refused = [(int(number), path) for number, path in _REFUSED.findall(said) if int(number) != errno.ENOENT]
    if refused:
        number, path = refused[-1]
        return explained(OSError(number, os.strerror(number), path or own))
    return "\n".join(said.splitlines()[-12:])
