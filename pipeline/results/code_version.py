"""Which version of the project's code runs: the commit of the checkout it lies in, and whether it is changed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[2]
# Code and its environment. What steps write (results/, data/, dvc.lock, logs) is not looked at, nor are tests and documents, nor
# params.yaml and studies/: provenance has the digest of the study, and `endoarss use` writes params.yaml.
_WATCHED = (
    *("corruptions", "endoarss", "reports", "pipeline", "Snakefile", "profiles"),
    *("pyproject.toml", "requirements.lock", "requirements.txt", "environment.yml"),
)


def code_version(root: Path = _ROOT) -> dict[str, Any]:
    """commit: of the checkout. dirty: whether code or its environment in it is changed, or not under version control yet.

    Args:
        root: the folder that holds the packages.

    Returns:
        The commit "unknown" and dirty None where the code lies in no checkout of its own: installed, or without git.
    """

    def git(*arguments: str) -> str:
        # A hook's GIT_DIR would be another repository; a lock of the index would be in the way of steps that run beside.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        command = ["git", "-C", str(root), "--no-optional-locks", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "pipeline/__init__.py")  # not the repository of somebody who installed it
        changed = git("status", "--porcelain", "--untracked-files=all", "--", *_WATCHED)
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(changed)}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": "unknown", "dirty": None}
