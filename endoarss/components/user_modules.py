"""A user's modules: found without importing anything, described by a process of their own, and their faults told by file and line.

What settings a component has is for Python to say: classes inherit, and defaults are computed. But importing such a module usually imports
torch, for which planning and listing do not wait. So another process imports it once, and what it found is saved under the user's cache
folder with digests of all source files that were imported with it, Python's libraries apart. As long as those are the same, it is read.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import subprocess
import sys
import sysconfig
import traceback
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from endoarss.errors import SettingsError

_PACKAGE = Path(__file__).parents[1]
_LIBRARIES = tuple(f"{sysconfig.get_path(name)}{os.sep}" for name in ("stdlib", "platstdlib", "purelib", "platlib"))
_LETTERS = 400  # of an error's message


class _WorkingDirectory(MetaPathFinder):
    """Finds in the working directory the modules that a study names, and no others. Python asks it last."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a module lies that is named and that nobody else has found."""
        return PathFinder.find_spec(fullname, [str(Path.cwd())]) if path is None and fullname in self.names else None


_WORKING_DIRECTORY = _WorkingDirectory()


def look_in_working_directory(module: str) -> None:
    """Let Python find a module, or the package that it lies in, in the working directory if it is nowhere else."""
    _WORKING_DIRECTORY.names.add(module.split(".")[0])
    if _WORKING_DIRECTORY not in sys.meta_path:
        sys.meta_path.append(_WORKING_DIRECTORY)


def module_file(module: str) -> Path:
    """Return the source file of an importable module, without importing it or the packages it lies in.

    Raises:
        SettingsError: if there is no such module, or it is no Python source.
    """
    if not all(part.isidentifier() for part in module.split(".")):
        raise SettingsError(f"components: {module!r} is no module's name; expected such as my_package.my_module.")
    look_in_working_directory(module)
    importlib.invalidate_caches()  # the file may have been written a moment ago
    first, *rest = module.split(".")
    spec = next((found for one in sys.meta_path if (found := one.find_spec(first, None))), None)
    path = Path(spec.origin) if spec and spec.origin else None
    folders = list(map(Path, spec.submodule_search_locations or ())) if spec else []
    # Python would import a package to find what lies in it.
    for part in rest:
        folders = [folder / part for folder in folders]
        files = [file for folder in folders for file in (folder / "__init__.py", folder.with_suffix(".py"))]
        path = next(filter(Path.is_file, files), None)
    if path is None or not path.is_file() or path.suffix != ".py":
        raise SettingsError(
            f"components: no module {module!r} on the Python path or in the working directory; expected the name of a module in Python "
            "that can be imported. Run from its folder, install it, or name its folder in the environment variable PYTHONPATH."
        )
    return path


def import_module(module: str) -> None:
    """Import a user's module into this process.

    Raises:
        SettingsError: if that fails, naming file, line and error.
    """
    module_file(module)
    try:
        importlib.import_module(module)
    except (Exception, SystemExit) as error:
        raise SettingsError(f"components: {_fault(error, module)}") from None


def describe_module(module: str, others: Mapping[str, str]) -> dict[str, Any]:
    """Describe the components that importing a user's module registers, without importing it into this process.

    Args:
        module: its name.
        others: of `endoarss.registry.add_module`.

    Returns:
        By kind and name what `Description` holds, as JSON-like data.

    Raises:
        SettingsError: if there is no such module, or importing it fails, naming file, line and error.
    """
    key = json.dumps([module, str(module_file(module)), sys.executable, sys.version, dict(others)])
    name = f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
    found = _saved(name)
    if found is None:
        found = _ask_process(module, others)
        found["files"] = sha256_of(map(Path, found["files"]))
        with suppress(OSError, RuntimeError):  # without a folder for it the module is imported each time
            folder = _cache_folder()
            folder.mkdir(parents=True, exist_ok=True)
            partial = folder / f"{name}.{os.getpid()}.partial"
            partial.write_text(json.dumps(found), encoding="utf-8")
            partial.replace(folder / name)
    components: dict[str, Any] = found["components"]
    return components


def sources_of(module: str) -> list[str]:
    """Return the source files that decide what a module that was imported defines: all but those of Python's libraries."""
    home, files = _home(module), {str(getattr(one, "__file__", None)) for one in list(sys.modules.values())}
    return sorted(file for file in files if file.endswith(".py") and _is_source(file, home))


def sha256_of(files: Iterable[Path]) -> dict[str, str]:
    """Return the hex SHA-256 of files by name; empty of those that cannot be read."""
    digests = {}
    for file in files:
        try:
            digests[str(file)] = hashlib.sha256(file.read_bytes()).hexdigest()
        except OSError:
            digests[str(file)] = ""
    return digests


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "endoarss" / "components"


def _saved(name: str) -> dict[str, Any] | None:
    """Return what was saved of a module, or None if there is nothing, or a source file has changed since."""
    try:
        found: dict[str, Any] = json.loads((_cache_folder() / name).read_text(encoding="utf-8"))
        current = sha256_of(map(Path, found["files"])) == found["files"] and "components" in found
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):
        return None
    return found if current else None


def _ask_process(module: str, others: Mapping[str, str]) -> dict[str, Any]:
    # -P: the working directory is no place to import from, unless it is for this process.
    command = [sys.executable, "-P", "-m", "endoarss.components.describe_module", module, json.dumps(dict(others))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(Path(place).absolute()) for place in sys.path)}
    ended = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
    )
    try:
        reply: dict[str, Any] = json.loads(ended.stdout)
    except ValueError:
        where, last = short_path(module_file(module)), " ".join(ended.stderr.strip().splitlines()[-1:])
        raise SettingsError(
            f"components: {where}: importing it ended the process, with status {ended.returncode}. {last}"
        ) from None
    if "error" in reply:
        raise SettingsError(reply["error"])
    return reply


def _fault(error: BaseException, module: str) -> str:
    """Return where a user's module failed and why, as one sentence."""
    home, kind = _home(module), type(error).__name__
    text = " ".join(str(error).split())[:_LETTERS].rstrip(".")
    said = text if isinstance(error, SettingsError) else f"{kind}: {text}".removesuffix(": ")
    if isinstance(error, SyntaxError) and error.filename:
        return f"{short_path(Path(error.filename))}, line {error.lineno}: {kind}: {error.msg}."
    frames = [one for one in traceback.extract_tb(error.__traceback__) if _is_source(one.filename, home)]
    theirs = [one for one in frames if not Path(one.filename).is_relative_to(_PACKAGE)]
    where = (
        f"{short_path(Path(theirs[-1].filename))}, line {theirs[-1].lineno}"
        if theirs
        else short_path(module_file(module))
    )
    return f"{where}: {said}."


def _home(module: str) -> Path:
    """Return the folder of the package that a module lies in, or its file if it lies in none."""
    file = module_file(module)
    depth = module.count(".") - (file.name != "__init__.py")
    return file.parents[depth] if depth >= 0 else file


def _is_source(file: str, home: Path) -> bool:
    """Whether a file is the project's, lies in `home`, or is at least no file of Python's libraries."""
    known = Path(file).is_relative_to(home) or Path(file).is_relative_to(_PACKAGE)
    return known or not file.startswith(("<", *_LIBRARIES))


def short_path(path: Path) -> Path:
    """Return a path relative to the working directory if it lies below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
