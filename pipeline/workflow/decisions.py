"""Collect what decides a result besides its inputs: resolved settings, code, and the versions of the packages that compute."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pipeline.io.hashing import digest, sha256_of
from pipeline.io.import_closure import ROOT, imported_packages

# Packages whose import name differs from the installed name in more than "_" for "-".
_INSTALLED_AS = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "skimage": "scikit-image",
    "yaml": "pyyaml",
}

# Packages that only read settings or show progress, so results do not depend on their versions.
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
    """Return all that decides a result, as JSON-like content, with one digest for its code."""
    return {"settings": settings, "code": _code_sha256(code), "packages": _versions(code)}


def code_digests(code: tuple[str, ...]) -> dict[str, str]:
    """Return the hex SHA-256 of each file of code by its path, or only by its folder and file name if it is outside the project."""
    digests: dict[str, str] = {}
    for file in code:
        path = Path(file)
        name = file if not path.is_absolute() else "/".join(path.parts[-2:])
        digests[name] = _sha256_of(ROOT / path)
    return digests


def differing_keys(now: Any, then: Any, deep: bool) -> list[str]:
    """Return the keys whose values differ between two JSON-like contents, e.g. ["schedule.epochs"].

    Args:
        now: the present content.
        then: the earlier content.
        deep: whether to compare inside values that are dictionaries.
    """
    if not isinstance(now, dict) or not isinstance(then, dict):
        return [] if now == then else [""]
    differing = []
    for key in sorted({*now, *then}):
        value_now, value_then = now.get(key), then.get(key)
        inner = differing_keys(value_now, value_then, deep) if deep else [""] * (value_now != value_then)
        differing += [f"{key}.{rest}" if rest else key for rest in inner]
    return differing


@cache
def _code_sha256(code: tuple[str, ...]) -> str:
    return digest(code_digests(code))


@cache
def _sha256_of(path: Path) -> str:
    return sha256_of(path)


@cache
def _versions(code: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of Python and of the packages that files of code import."""
    names = sorted(name for name in imported_packages(code) if name not in _NOT_COMPUTING)
    return {"python": ".".join(platform.python_version_tuple()[:2]), **{name: _version(name) for name in names}}


@cache
def _version(name: str) -> str:
    try:
        return version(_INSTALLED_AS.get(name, name.replace("_", "-")))
    except PackageNotFoundError:
        return "not installed"
