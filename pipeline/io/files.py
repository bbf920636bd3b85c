"""Write files and folders completely or not at all, and read text files of users."""

from __future__ import annotations

import fcntl
import io
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from corruptions.regular import open_regular
from corruptions.system_errors import named
from pipeline.errors import InputError

# Annotations, label lists and manifests are far smaller than this.
MAX_TEXT_BYTES = 64 << 20
_PROBE_BYTES = 64 << 10
# Files that a killed process leaves: unfinished files, old files that are being replaced, and states of a training (endoarss/resume.py).
_UNFINISHED = re.compile(r"\..+\.(\d+)\.(?:partial|old)|epoch-\d+\.(\d+)\.partial")
_RESUMABLE = re.compile(r"\.(.+)\.partial")
_KEY = ".key"  # the file in a resumable folder that holds the `key` of its work


def writer_of(path: Path) -> int | None:
    """Return the id of the process that the name of an unfinished file or folder holds; None for other names."""
    match = _UNFINISHED.fullmatch(path.name)
    return int(match[1] or match[2]) if match else None


def resumable(path: Path) -> Path:
    """Return the temporary path at which `resumable_folder` fills a folder."""
    return path.with_name(f".{path.name}.partial")


def resumable_lock(path: Path) -> Path:
    """Return the lock file that `resumable_folder` holds while it fills a folder."""
    return path.with_name(f".{path.name}.lock")


def begun_for(path: Path) -> Path | None:
    """Return the final path of a temporary folder of `resumable_folder`; None for other folders, even with a similar name."""
    match = _RESUMABLE.fullmatch(path.name)
    is_resumable = match and writer_of(path) is None and (path / _KEY).is_file()
    return path.with_name(match[1]) if match and is_resumable else None


def _unfinished(path: Path, kind: str = "partial") -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.{kind}")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to `path`, and move the file to `path` only if the block succeeds. Errors name `path`."""
    with whole_files() as temporary:
        yield temporary(path)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder next to `path`, which replaces `path` only if the block succeeds. Errors name files in `path`."""
    partial = _unfinished(path)
    try:
        with named(path, partial):
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            yield partial
            _replace(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def resumable_folder(path: Path, key: str) -> Iterator[Path]:
    """Yield a temporary folder next to `path` to fill. It replaces `path` if the block succeeds, and stays for the next attempt if not.

    Args:
        path: the folder to write.
        key: identifies the work. A temporary folder that was left by work with another key is deleted.

    Raises:
        InputError: if another process is filling the folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = resumable(path)
    lock_path = resumable_lock(path)
    # A folder of a user may hold a pipe or a link of this name. A pipe must not block, and a link must not be followed.
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with named(path, partial), os.fdopen(os.open(lock_path, flags, 0o666), "wb", buffering=0) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not lock_path.exists() or not os.path.samestat(lock_path.stat(), os.fstat(lock.fileno())):
                raise BlockingIOError  # the last holder deleted the lock file meanwhile, and a new one may exist
        except BlockingIOError:
            raise InputError(f"{path}: another process is writing it; wait until it ends, or stop it.") from None
        key_file = partial / _KEY
        if partial.exists() and not (key_file.is_file() and key_file.read_bytes() == key.encode()):
            shutil.rmtree(partial)
        partial.mkdir(exist_ok=True)
        key_file.write_text(key, encoding="utf-8")
        yield partial
        _replace(partial, path)
        (path / key_file.name).unlink()
        lock_path.unlink()


def _replace(partial: Path, path: Path) -> None:
    if path.exists():
        old = _unfinished(path, "old")
        path.rename(old)
        partial.rename(path)
        shutil.rmtree(old)
    else:
        partial.rename(path)


@contextmanager
def whole_files() -> Iterator[Callable[[Path], Path]]:
    """Yield a function from the path of a file to a temporary path next to it. All files are moved at the end, if the block succeeds.

    So the results of a step replace those of an earlier run only after the last of them is computed and checked.
    """
    partials: dict[Path, Path] = {}
    with ExitStack() as errors:

        def temporary(path: Path) -> Path:
            if path not in partials:
                partials[path] = _unfinished(path)
                errors.enter_context(named(path, partials[path]))
                path.parent.mkdir(parents=True, exist_ok=True)
            return partials[path]

        try:
            yield temporary
            for path, partial in partials.items():
                partial.replace(path)
        finally:
            for partial in partials.values():
                with suppress(OSError):  # an error in the block or in writing must not be hidden by an error here
                    partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file completely or not at all."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, content: Any) -> None:
    """Write JSON with sorted keys, completely or not at all. The same content gives the same bytes."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        FileNotFoundError: if the file is missing.
        InputError: if it cannot be read, is too large, or holds no JSON object.
    """
    try:
        with open_regular(path) as stream:
            text = stream.read(MAX_TEXT_BYTES + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from None
    if len(text) > MAX_TEXT_BYTES:
        raise InputError(f"{path}: more than {MAX_TEXT_BYTES:,} bytes; expected a smaller JSON file.")
    try:
        content = json.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error}); write it again.") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds no JSON object; write it again.")
    return content


def write_if_changed(path: Path, text: str) -> None:
    """Write a text file only if its content differs, so that its time is the time of its last change."""
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)


def check_room(folder: Path) -> None:
    """Create a folder if needed, and check with a test file that files can be written to it.

    Raises:
        OSError: if files cannot be written; the error names the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(_PROBE_BYTES))
    except OSError as error:
        error.filename = str(folder)  # users do not know the test file
        raise


def read_text(path: Path, limit: int = MAX_TEXT_BYTES) -> str:
    """Read a UTF-8 text file of a user, with or without byte order mark.

    Args:
        path: the file.
        limit: the largest size, in bytes.

    Raises:
        InputError: if the file is missing, too large or not UTF-8.
    """
    try:
        with open_regular(path) as stream:
            size = os.fstat(stream.fileno()).st_size
            if size > limit:
                raise InputError(f"{path}: {size:,} bytes; expected a text of at most {limit:,}.")
            return io.TextIOWrapper(stream, encoding="utf-8-sig").read()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a UTF-8 text ({error.reason} at byte {error.start}).") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from None
