"""The version of the running code: the commit of its checkout, and whether files in it are changed."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[2]
# Code and its environment. Files that steps write (results/, data/, dvc.lock, logs), tests and documents are left out. So are params.yaml,
# which `endoarss use` writes, and studies/, because provenance has the digest of the study.
_CODE_FILES = (
    *("corruptions", "endoarss", "reports", "pipeline", "Snakefile", "profiles"),
    *("pyproject.toml", "requirements.lock", "requirements.txt", "environment.yml"),
)


def code_version(root: Path = _ROOT) -> dict[str, Any]:
    """Return the commit of the checkout, and `dirty`: whether code or environment files are changed or not under version control.

    Args:
        root: the folder that holds the packages.

    Returns:
        commit and dirty, or "unknown" and None if the code is not in its own checkout, because it is installed or git is missing.
    """
    try:
        # This fails in the repository of a user who installed the package there.
        _git(root, "ls-files", "--error-unmatch", "pipeline/__init__.py")
        changed = _git(root, "status", "--porcelain", "--untracked-files=all", "--", *_CODE_FILES)
        return {"commit": _git(root, "rev-parse", "HEAD"), "dirty": bool(changed)}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": "unknown", "dirty": None}


def _git(root: Path, *arguments: str) -> str:
    # Without the option, a lock of the index would block other steps.
    command = ["git", *_trust(root), "--no-optional-locks", *arguments]
    return _run(root, command).stdout.strip()


@cache
def _trust(root: Path) -> tuple[str, ...]:
    """Return the option without which git refuses to read a checkout of another user, and print a note if it is needed."""
    try:
        _run(root, ["git", "rev-parse", "HEAD"])
    except subprocess.CalledProcessError as error:
        if "safe.directory" in error.stderr:
            print(
                f"{root}: this checkout belongs to another user. Its commit is recorded if git is 2.38 or later. To use git in it "
                f"yourself: git config --global --add safe.directory {shlex.quote(str(root))}",
                file=sys.stderr,
            )
            return "-c", f"safe.directory={root}"
    return ()


def _run(root: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    # In a git hook, GIT_DIR may name another repository.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
