"""Modules of a user's own that register corruptions, for the command `corruptions` and for its processes."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from corruptions.errors import CorruptionError
from corruptions.registry import is_projects, known


def add_own_modules(modules: Sequence[str]) -> None:
    """Import modules that somebody names; the working directory is looked in last, for the time of the import alone.

    Raises:
        CorruptionError: if one cannot be imported, naming file, line and error, or registers no corruption.
    """
    for module in modules:
        fresh = module not in sys.modules
        before, path = known(), list(sys.path)
        sys.path.append(str(Path.cwd()))
        try:
            importlib.invalidate_caches()
            importlib.import_module(module)
        except (Exception, SystemExit) as error:
            raise CorruptionError(f"--components {module}: {_fault(error)}") from None
        finally:
            sys.path[:] = path
        if fresh and known() == before:
            raise CorruptionError(
                f'--components {module}: registers no corruption; expected @register_corruption("name", "category") in it.'
            )


def own_corruptions() -> tuple[str, ...]:
    """Return the names of the known corruptions that are not the project's."""
    return tuple(name for name in known() if not is_projects(name))


def sources_sha256(modules: Sequence[str]) -> dict[str, str]:
    """Return the hex SHA-256 of the source file of each module that was added."""
    return {module: sha256(Path(str(sys.modules[module].__file__)).read_bytes()).hexdigest() for module in modules}


def _fault(error: BaseException) -> str:
    """Return where a module failed and why, as one sentence."""
    said = f"{type(error).__name__}: {error}".rstrip(".")
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}: {type(error).__name__}: {error.msg}."
    frames = [one for one in traceback.extract_tb(error.__traceback__) if "importlib" not in one.filename]
    theirs = [one for one in frames if not Path(one.filename).is_relative_to(Path(__file__).parent)]
    where = f"{theirs[-1].filename}, line {theirs[-1].lineno}: " if theirs else ""
    if isinstance(error, ModuleNotFoundError) and not where:
        return f"{error.msg}. It is looked for on the Python path and in the working directory."
    return f"{where}{said}."
