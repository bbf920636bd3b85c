"""Extracts downloaded archives safely: each .zip in a raw tree is extracted once, into the folder that contains it.

`release_1.zip` becomes the folder `release_1/` next to it. It is not extracted if that folder exists already, or if all files of the
archive exist next to it, because somebody extracted it by hand.
"""

from __future__ import annotations

import fcntl
import glob
import os
import re
import shutil
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from corruptions.regular import open_regular
from corruptions.system_errors import explained
from pipeline.errors import InputError
from pipeline.io.files import whole_folder
from pipeline.io.raw_trees import walk

MAX_BYTES = 500 << 30  # the largest download has 40 GB
MAX_FILES = 500_000
MAX_DIRECTORY_BYTES = 128 << 20  # the archive's list of files, which is held in memory
MAX_DEPTH = 3  # archives inside archives
MAX_RATIO = 1000  # bytes per compressed byte: deflate reaches at most 1,032, images about 1
_SYSTEM_NAMES = ("__MACOSX", ".DS_Store")  # macOS adds them to archives
_CHUNK = 1 << 20
_LONGEST_NAME = 255  # in bytes, the limit of file systems


def prepare_root(root: Path) -> Path:
    """Extract the archives of a raw tree that are not extracted yet, and the archives inside them.

    Args:
        root: a folder that may hold .zip files at any depth, or one .zip file.

    Returns:
        The folder to read: `root`, or the folder of the extracted archive.

    Raises:
        InputError: if an archive is damaged, encrypted or too large, or if an entry would be written outside its folder.
    """
    if root.suffix.lower() == ".zip" and root.is_file():
        if not root.with_suffix("").is_dir():
            _extract_once(root)
        root = root.with_suffix("")
    for _ in range(MAX_DEPTH):
        remaining = [archive for archive in find_archives(root) if not is_extracted(archive)]
        if not remaining:
            return root
        for archive in remaining:
            _extract_once(archive)
    raise InputError(f"{root}: archives are nested more than {MAX_DEPTH} deep; extract them by hand.")


def _extract_once(archive: Path) -> None:
    """Extract an archive into the folder that contains it. If several processes try, one extracts and the others wait."""
    lock = archive.with_name(f".{archive.name}.lock")
    try:
        # The tree may hold a pipe or a link of this name; these flags neither wait for a pipe nor write through a link.
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with os.fdopen(os.open(lock, flags, 0o666), "wb", buffering=0) as lock_file:
            fcntl.flock(lock_file, fcntl.LOCK_EX)
            for partial in archive.parent.glob(f".{glob.escape(archive.stem)}.*.partial"):
                shutil.rmtree(partial)  # a killed run left it
            if not is_extracted(archive):
                extract(archive, archive.with_suffix(""))
            lock.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"{archive}: cannot be extracted into its own folder. {explained(error)} Or extract it by hand to another folder, and name "
            "that folder in the study."
        ) from None


def find_archives(root: Path) -> list[Path]:
    """Return the .zip files below a folder, sorted."""
    return sorted(
        folder / name
        for folder, _, names in walk(root)
        for name in names
        if name.lower().endswith(".zip") and not name.startswith(".")
    )


def is_extracted(archive: Path) -> bool:
    """Return whether the archive's folder exists, or every file of the archive exists next to it.

    Raises:
        InputError: if the archive cannot be read.
    """
    if archive.with_suffix("").is_dir():
        return True
    with _open(archive) as opened:
        files = [info for info in opened.infolist() if not info.is_dir() and not _is_system_file(info)]
    return bool(files) and all(archive.parent.joinpath(*_safe_parts(archive, info)).exists() for info in files)


def extract(archive: Path, target: Path) -> None:
    """Extract a .zip into `target`, which appears complete or not at all.

    Only regular files with a path inside `target` are written. The size is limited to the size that the archive declares, to `MAX_BYTES`
    and to the free space.

    Raises:
        InputError: if an entry is not accepted; the message names the archive and the entry.
    """
    with _open(archive) as opened:
        entries = [info for info in opened.infolist() if not info.is_dir() and not _is_system_file(info)]
        _check_entries(archive, entries)
        try:
            with whole_folder(target) as partial:
                for info in tqdm(entries, desc=f"extract {archive.name}", unit="file", mininterval=1.0):
                    _write_entry(opened, archive, info, partial.joinpath(*_safe_parts(archive, info)))
        except OSError as error:
            raise InputError(f"{archive}: cannot be extracted. {explained(error)}") from None


@contextmanager
def _open(archive: Path) -> Iterator[zipfile.ZipFile]:
    try:
        stream = open_regular(archive)
    except OSError as error:
        raise InputError(f"{archive}: not a readable .zip ({error.strerror}).") from None
    with stream, _open_zip(archive, stream) as opened:
        yield opened


def _open_zip(archive: Path, stream: BufferedReader) -> zipfile.ZipFile:
    try:
        size = _directory_bytes(stream)
        if size > MAX_DIRECTORY_BYTES:
            raise InputError(
                f"{archive}: its list of files has {size:,} bytes; expected at most {MAX_DIRECTORY_BYTES:,}."
            )
        opened = zipfile.ZipFile(stream)
        if not all(info.filename for info in opened.infolist()):
            opened.close()
            raise InputError(f"{archive}: contains a file without a name, so it is damaged. Download it again.")
        return opened
    except InputError:
        raise
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
        raise InputError(f"{archive}: not a readable .zip ({error}). Download it again.") from None


def _directory_bytes(stream: BufferedReader) -> int:
    """Return the size of an archive's list of files that its end records declare, the largest if there are several."""
    stream.seek(max(0, stream.seek(0, os.SEEK_END) - (1 << 16) - 200))
    tail = stream.read()
    sizes = [0]
    for signature, offset, length in ((b"PK\x05\x06", 12, 4), (b"PK\x06\x06", 40, 8)):
        # Every place that looks like an end record counts, because readers differ in the one that they use.
        starts = (match.start() for match in re.finditer(re.escape(signature), tail))
        sizes += [int.from_bytes(tail[start + offset : start + offset + length], "little") for start in starts]
    # A zip64 archive writes 0xFFFFFFFF into the old record.
    return max(size for size in sizes if size != 0xFFFFFFFF)


def _is_system_file(info: zipfile.ZipInfo) -> bool:
    return any(part in _SYSTEM_NAMES for part in PurePosixPath(info.filename).parts)


def _safe_parts(archive: Path, info: zipfile.ZipInfo) -> tuple[str, ...]:
    """Return the parts of an entry's path. Raise InputError if the path leaves the folder or has too long a name."""
    name = info.filename.replace("\\", "/")
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or ":" in parts[0] or "\0" in name:
        raise InputError(
            f"{archive}: the entry {info.filename!r} would be written outside the folder; nothing is extracted."
        )
    if any(len(part.encode("utf-8", "surrogatepass")) > _LONGEST_NAME for part in parts):
        raise InputError(
            f"{archive}: the entry {info.filename[:40]!r}... has a name longer than {_LONGEST_NAME} bytes; nothing is extracted."
        )
    return parts


def _check_entries(archive: Path, entries: list[zipfile.ZipInfo]) -> None:
    """Raise InputError if an entry is not accepted, or if there is no space for all entries."""
    if not entries:
        raise InputError(f"{archive}: contains no file.")
    if len(entries) > MAX_FILES:
        raise InputError(f"{archive}: contains {len(entries):,} files; expected at most {MAX_FILES:,}.")
    seen: dict[tuple[str, ...], str] = {}
    for info in entries:
        parts = _safe_parts(archive, info)
        other = seen.setdefault(tuple(part.casefold() for part in parts), info.filename)
        if other != info.filename or (kind := stat.S_IFMT(info.external_attr >> 16)) not in (0, stat.S_IFREG):
            fault = f"is the same as {other!r}" if other != info.filename else f"is not a regular file (mode {kind:o})"
            raise InputError(f"{archive}: the entry {info.filename!r} {fault}; nothing is extracted.")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            # For other methods zipfile does not limit the size of one read.
            raise InputError(
                f"{archive}: the entry {info.filename!r} is compressed by an unusual method; extract it by hand."
            )
        if info.flag_bits & 1:
            raise InputError(f"{archive}: the entry {info.filename!r} is encrypted; extract it by hand.")
        if info.file_size > MAX_RATIO * max(info.compress_size, 1):
            raise InputError(
                f"{archive}: the entry {info.filename!r} declares {info.file_size:,} bytes from {info.compress_size:,} compressed ones; "
                "nothing is extracted."
            )
    total = sum(info.file_size for info in entries)
    free = shutil.disk_usage(archive.parent).free
    if total > min(MAX_BYTES, free):
        raise InputError(f"{archive}: needs {total:,} bytes when extracted; expected at most {min(MAX_BYTES, free):,}.")


def _write_entry(opened: zipfile.ZipFile, archive: Path, info: zipfile.ZipInfo, path: Path) -> None:
    remaining = info.file_size
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with opened.open(info) as stream, path.open("xb") as target:
            while chunk := stream.read(_CHUNK):
                remaining -= len(chunk)
                if remaining < 0:
                    raise InputError(f"{archive}: the entry {info.filename!r} is larger than the archive declares.")
                target.write(chunk)
    except (InputError, OSError):
        raise
    except Exception as error:  # damaged data: zlib, lzma and zipfile raise their own errors
        raise InputError(f"{archive}: the entry {info.filename!r} is damaged ({error}). Download it again.") from None
