"""Which version of the project's code runs: the commit of the checkout it lies in, and whether it is changed."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from functools import cache
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
    try:
        _git(
            root, "ls-files", "--error-unmatch", "pipeline/__init__.py"
        )  # not the repository of somebody who installed it
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
    ]  # a lock of the index would be in the way of other steps
    return _run(root, command).stdout.strip()


@cache
def _trust(root: Path) -> tuple[str, ...]:
    """Return the option that lets git read a checkout which somebody else owns, and say so once; git refuses to by itself."""
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
    # A hook's GIT_DIR would be another repository.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
