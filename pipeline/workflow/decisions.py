"""What decides a result besides what it is made from: resolved settings, code, and the versions of the packages that compute."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pipeline.io.hashing import digest, sha256_of
from pipeline.io.import_closure import ROOT, imported_packages

# What is imported under another name than it is installed. Others differ in "_" for "-" alone.
_INSTALLED_AS = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "skimage": "scikit-image",
    "yaml": "pyyaml",
}

# Packages that read settings and show progress. Another version computes the same.
_NOT_COMPUTING = {
    "click",
    "dvc",
    "jinja2",
    "pydantic",
    "pydantic_core",
    "rich",
    "snakemake",
    "tensorboard",
    "tqdm",
    "yaml",
}


def decisions(settings: Mapping[str, Any], code: tuple[str, ...]) -> dict[str, Any]:
    """Return all that decides a result, as JSON-like content; of its code one digest."""
    return {"settings": settings, "code": _code_sha256(code), "packages": _versions(code)}


def code_digests(code: tuple[str, ...]) -> dict[str, str]:
    """Return the hex SHA-256 of each file of code. Files outside the project are named without their folder, which is another elsewhere."""
    found: dict[str, str] = {}
    for file in code:
        path = Path(file)
        name = file if not path.is_absolute() else "/".join(path.parts[-2:])
        found[name] = _sha256_of(ROOT / path)
    return found


def differing_keys(now: Any, then: Any, deep: bool) -> list[str]:
    """Return the keys whose values differ between two JSON-like contents, e.g. ["schedule.epochs"].

    Args:
        now: one content. then: the other. deep: whether to look into values that are dictionaries.
    """
    if not isinstance(now, dict) or not isinstance(then, dict):
        return [] if now == then else [""]
    found = []
    for key in sorted({*now, *then}):
        one, other = now.get(key), then.get(key)
        inner = differing_keys(one, other, deep) if deep else [""] * (one != other)
        found += [f"{key}.{rest}" if rest else key for rest in inner]
    return found


@cache
def _code_sha256(code: tuple[str, ...]) -> str:
    return digest(code_digests(code))


@cache
def _sha256_of(path: Path) -> str:
    return sha256_of(path)


@cache
def _versions(code: tuple[str, ...]) -> dict[str, str]:
    """The versions of Python and of the installed packages that files of code import."""
    names = sorted(name for name in imported_packages(code) if name not in _NOT_COMPUTING)
    return {"python": ".".join(platform.python_version_tuple()[:2]), **{name: _version(name) for name in names}}


@cache
def _version(name: str) -> str:
    try:
        return version(_INSTALLED_AS.get(name, name.replace("_", "-")))
    except PackageNotFoundError:
        return "not installed"
