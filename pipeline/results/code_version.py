"""The version of the project's code that runs: the commit of its checkout, and whether files in it are changed."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[2]
# Code and its environment. Left out: what steps write (results/, data/, dvc.lock, logs), tests, documents, params.yaml and studies/.
# Provenance has the digest of the study, and `endoarss use` writes params.yaml.
_WATCHED = (
    *("corruptions", "endoarss", "reports", "pipeline", "Snakefile", "profiles"),
    *("pyproject.toml", "requirements.lock", "requirements.txt", "environment.yml"),
)


def code_version(root: Path = _ROOT) -> dict[str, Any]:
    """Return the commit of the checkout, and `dirty`: whether code or environment files are changed or not under version control.

    Args:
        root: the folder that holds the packages.

    Returns:
        commit and dirty. They are "unknown" and None if the code is not in a checkout of its own: if it is installed, or git is missing.
    """
    try:
        _git(
            root, "ls-files", "--error-unmatch", "pipeline/__init__.py"
        )  # fails in the repository of a user who installed the package there
        changed = _git(root, "status", "--porcelain", "--untracked-files=all", "--", *_WATCHED)
        return {"commit": _git(root, "rev-parse", "HEAD"), "dirty": bool(changed)}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": "unknown", "dirty": None}


def _git(root: Path, *arguments: str) -> str:
    command = [
        "git",
        *_trust(root),
        "--no-optional-locks",
        *arguments,
    ]  # a lock of the index would block other steps
    return _run(root, command).stdout.strip()


@cache
def _trust(root: Path) -> tuple[str, ...]:
    """Return the option that lets git read a checkout of another user, and print that once; git refuses without it."""
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
