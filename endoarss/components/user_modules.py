"""Find a user's module, describe its components in a separate process, and report its errors with file and line.

The settings of a component are known only after its module was imported, because classes inherit and defaults are computed. But importing
such a module usually imports torch, which takes too long for planning and listing. So a separate process imports it once. The descriptions
are saved in the user's cache folder, with digests of all imported source files except Python's libraries. As long as these files do not
change, the saved descriptions are used.
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
_MAX_CHARACTERS = 400  # of an error's message


class _WorkingDirectory(MetaPathFinder):
    """Finds modules that a study names in the working directory, and no other modules. Python asks it last."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the location of a module that a study names and that Python found nowhere else."""
        return PathFinder.find_spec(fullname, [str(Path.cwd())]) if path is None and fullname in self.names else None


_WORKING_DIRECTORY = _WorkingDirectory()


def look_in_working_directory(module: str) -> None:
    """Let Python also look for a module, or for its package, in the working directory.

    Args:
        module: the name of the module.
    """
    _WORKING_DIRECTORY.names.add(module.split(".")[0])
    if _WORKING_DIRECTORY not in sys.meta_path:
        sys.meta_path.append(_WORKING_DIRECTORY)


def module_file(module: str) -> Path:
    """Return the source file of an importable module, without importing it or its packages.

    Args:
        module: the name of the module.

    Raises:
        SettingsError: if there is no such module, or it is not Python source.
    """
    if not all(part.isidentifier() for part in module.split(".")):
        raise SettingsError(
            f"components: {module!r} is not a module name; expected a name such as my_package.my_module."
        )
    look_in_working_directory(module)
    importlib.invalidate_caches()  # the file may have been written a moment ago
    first, *rest = module.split(".")
    spec = next((found for finder in sys.meta_path if (found := finder.find_spec(first, None))), None)
    path = Path(spec.origin) if spec and spec.origin else None
    folders = list(map(Path, spec.submodule_search_locations or ())) if spec else []
    # Search the folders here, because Python would import a package to find a module in it.
    for part in rest:
        folders = [folder / part for folder in folders]
        files = [file for folder in folders for file in (folder / "__init__.py", folder.with_suffix(".py"))]
        path = next(filter(Path.is_file, files), None)
    if path is None or not path.is_file() or path.suffix != ".py":
        raise SettingsError(
            f"components: there is no module {module!r} on the Python path or in the working directory; expected the name of a Python "
            "source module that can be imported. Run from its folder, install it, or add its folder to the environment variable PYTHONPATH."
        )
    return path


def import_module(module: str) -> None:
    """Import a user's module into this process.

    Args:
        module: the name of the module.

    Raises:
        SettingsError: if the import fails; the message gives file, line and error.
    """
    module_file(module)
    try:
        importlib.import_module(module)
    except (Exception, SystemExit) as error:
        raise SettingsError(f"components: {_explained(error, module)}") from None


def describe_module(module: str, others: Mapping[str, str]) -> dict[str, Any]:
    """Describe the components that a user's module registers, without importing it into this process.

    Args:
        module: the name of the module.
        others: registries of other packages, see `endoarss.registry.add_module`.

    Returns:
        The fields of each component's `Description`, as JSON-like data, by kind and name.

    Raises:
        SettingsError: if there is no such module, or importing it fails; the message gives file, line and error.
    """
    key = json.dumps([module, str(module_file(module)), sys.executable, sys.version, dict(others)])
    name = f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
    reply = _saved_reply(name)
    if reply is None:
        reply = _reply_of_process(module, others)
        reply["files"] = sha256_of(map(Path, reply["files"]))
        with suppress(OSError, RuntimeError):  # if there is no cache folder, the module is imported each time
            folder = _cache_folder()
            folder.mkdir(parents=True, exist_ok=True)
            partial = folder / f"{name}.{os.getpid()}.partial"
            partial.write_text(json.dumps(reply), encoding="utf-8")
            partial.replace(folder / name)
    components: dict[str, Any] = reply["components"]
    return components


def sources_of(module: str) -> list[str]:
    """Return the source files on which an imported module depends, except the files of Python's libraries.

    Args:
        module: the name of the imported module.
    """
    home, files = _home(module), {str(getattr(loaded, "__file__", None)) for loaded in list(sys.modules.values())}
    return sorted(file for file in files if file.endswith(".py") and _is_source(file, home))


def sha256_of(files: Iterable[Path]) -> dict[str, str]:
    """Return the hex SHA-256 of files.

    Args:
        files: paths of files.

    Returns:
        The digest of each file by its path; empty for a file that cannot be read.
    """
    digests = {}
    for file in files:
        try:
            digests[str(file)] = hashlib.sha256(file.read_bytes()).hexdigest()
        except OSError:
            digests[str(file)] = ""
    return digests


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "endoarss" / "components"


def _saved_reply(name: str) -> dict[str, Any] | None:
    """Return the saved description of a module, or None if there is none or a source file has changed since."""
    try:
        reply: dict[str, Any] = json.loads((_cache_folder() / name).read_text(encoding="utf-8"))
        current = sha256_of(map(Path, reply["files"])) == reply["files"] and "components" in reply
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):
        return None
    return reply if current else None


def _reply_of_process(module: str, others: Mapping[str, str]) -> dict[str, Any]:
    """Run `describe_module` in a separate process and return what it printed."""
    # -P: do not import from the working directory, unless this process does.
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
            f"components: {where}: the process that imported it ended with status {ended.returncode}. {last}"
        ) from None
    if "error" in reply:
        raise SettingsError(reply["error"])
    return reply


def _explained(error: BaseException, module: str) -> str:
    """Return a sentence that says where in a user's module an error was raised, and the error."""
    home, kind = _home(module), type(error).__name__
    text = " ".join(str(error).split())[:_MAX_CHARACTERS].rstrip(".")
    problem = text if isinstance(error, SettingsError) else f"{kind}: {text}".removesuffix(": ")
    if isinstance(error, SyntaxError) and error.filename:
        return f"{short_path(Path(error.filename))}, line {error.lineno}: {kind}: {error.msg}."
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_source(frame.filename, home)]
    users_frames = [frame for frame in frames if not Path(frame.filename).is_relative_to(_PACKAGE)]
    where = (
        f"{short_path(Path(users_frames[-1].filename))}, line {users_frames[-1].lineno}"
        if users_frames
        else short_path(module_file(module))
    )
    return f"{where}: {problem}."


def _home(module: str) -> Path:
    """Return the folder of a module's top-level package, or the module's file if it is in no package."""
    file = module_file(module)
    depth = module.count(".") - (file.name != "__init__.py")
    return file.parents[depth] if depth >= 0 else file


def _is_source(file: str, home: Path) -> bool:
    """Return whether a file is in `home` or in this package, or is source code outside Python's libraries."""
    known = Path(file).is_relative_to(home) or Path(file).is_relative_to(_PACKAGE)
    return known or not file.startswith(("<", *_LIBRARIES))


def short_path(path: Path) -> Path:
    """Return a path relative to the working directory if it is below it, otherwise the path unchanged.

    Args:
        path: any path.
    """
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
