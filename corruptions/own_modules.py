"""Imports a user's modules that register corruptions, for the command `corruptions` and its worker processes."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from corruptions.errors import CorruptionError
from corruptions.registry import is_built_in, known


def add_own_modules(modules: Sequence[str]) -> None:
    """Import modules by name. During the import, the working directory is searched last.

    Raises:
        CorruptionError: if a module cannot be imported (the message gives file, line and error), or registers no corruption.
    """
    for module in modules:
        is_new = module not in sys.modules
        before, path = known(), list(sys.path)
        sys.path.append(str(Path.cwd()))
        try:
            importlib.invalidate_caches()
            importlib.import_module(module)
        except (Exception, SystemExit) as error:
            raise CorruptionError(f"--components {module}: {_fault(error)}") from None
        finally:
            sys.path[:] = path
        if is_new and known() == before:
            raise CorruptionError(
                f'--components {module}: it registers no corruption; expected @register_corruption("name", "category") in it.'
            )


def own_corruptions() -> tuple[str, ...]:
    """Return the names of the known corruptions that users registered."""
    return tuple(name for name in known() if not is_built_in(name))


def sources_sha256(modules: Sequence[str]) -> dict[str, str]:
    """Return the hex SHA-256 of the source file of each added module."""
    return {module: sha256(Path(str(sys.modules[module].__file__)).read_bytes()).hexdigest() for module in modules}


def _fault(error: BaseException) -> str:
    """Return where a module failed and why, as one sentence."""
    message = f"{type(error).__name__}: {error}".rstrip(".")
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}: {type(error).__name__}: {error.msg}."
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    users_frames = [frame for frame in frames if not Path(frame.filename).is_relative_to(Path(__file__).parent)]
    where = f"{users_frames[-1].filename}, line {users_frames[-1].lineno}: " if users_frames else ""
    if isinstance(error, ModuleNotFoundError) and not where:
        return f"{error.msg}. It was searched for on the Python path and in the working directory."
    return f"{where}{message}."
