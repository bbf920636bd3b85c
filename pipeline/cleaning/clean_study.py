"""List results and shared data that no study needs, and delete them if the user gives --yes."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from pipeline.cleaning.prunable_files import PrunableFile, PrunableFiles, find_prunable_files
from pipeline.cleaning.studies_in_use import studies_in_use
from pipeline.errors import InputError
from pipeline.io.disk import size
from pipeline.locking.command_locks import DATA_LOCKS, data_lock, study_lock, study_locks
from pipeline.locking.locks import HeldError, Holder, Lock, holders_below, release, take
from pipeline.study.models import Study

_LISTED_AT_MOST = 40


def clean_study(study: Study, yes: bool = False, shared: bool = False, results: bool = False) -> str:
    """Return a list of prunable files with reasons, and delete them if `yes` is true.

    Args:
        study: the study whose results are checked.
        yes: whether to delete.
        shared: whether to include built datasets and generated raw trees that no study in use needs.
        results: whether to include all results of the study.

    Returns:
        The list as text.

    Raises:
        InputError: if a process may use a prunable file, or a file cannot be deleted.
    """
    in_use = studies_in_use(study)
    prunable = find_prunable_files(study, in_use, shared, results)
    if not yes or not prunable.delete:
        return show(study, prunable, deleted=False)
    with ExitStack() as stack:
        _lock_out_others(study, prunable.delete, stack)
        # Files may have changed before the locks were taken.
        prunable = find_prunable_files(study, in_use, shared, results)
        _delete(study, prunable.delete, results)
    return show(study, prunable, deleted=True)


def show(study: Study, prunable: PrunableFiles, deleted: bool) -> str:
    """Return a list of prunable files as text; `deleted` is whether they are deleted already."""
    total = size(sum(file.bytes for file in prunable.delete))
    lines = [*prunable.notes]
    if not prunable.delete:
        lines.append(f"Study {study.name}: nothing to delete.")
    else:
        verb = "Deleted" if deleted else "Would delete"
        places = "one file or folder" if len(prunable.delete) == 1 else f"{len(prunable.delete)} files and folders"
        lines.append(f"Study {study.name}. {verb} {total} in {places}:")
        lines += [f"  {size(file.bytes):>8}  {file.path}: {file.why}" for file in prunable.delete[:_LISTED_AT_MOST]]
        lines += _more(len(prunable.delete))
    if prunable.staying:
        lines.append("Stays:")
        lines += [f"  {path}: {why}" for path, why in sorted(prunable.staying.items())[:_LISTED_AT_MOST]]
        lines += _more(len(prunable.staying))
    if prunable.delete and not deleted:
        lines.append("Nothing was deleted. The same command with --yes deletes it.")
    return "\n".join(lines)


def _more(count: int) -> list[str]:
    return [f"  and {count - _LISTED_AT_MOST} more"] if count > _LISTED_AT_MOST else []


def _lock_out_others(study: Study, delete: Sequence[PrunableFile], stack: ExitStack) -> None:
    """Take the locks of the study and of shared data, as far as their files are deleted.

    Raises:
        InputError: if another process holds one of them, or Snakemake has locked the folder.
    """
    if any(Path(".snakemake/locks").glob("*.lock")):
        raise InputError(
            ".snakemake/locks: Snakemake works here, or was killed. Nothing was deleted. Wait until it ends; if no Snakemake runs: "
            "snakemake --unlock --cores 1."
        )
    me = Holder.here("clean", f"cleans {study.name}", study.name)
    paths = [data_lock()] if any(file.shared for file in delete) else []
    paths += [] if all(file.shared for file in delete) else [study_lock(study)]
    for path in paths:
        try:
            descriptor = take(Lock(path), me, wait=False)
        except HeldError:
            holders = [*holders_below(DATA_LOCKS), *holders_below(Path("results"))]
            # Any process may use shared data. Only processes that work on the study use its results.
            users = {str(holder): None for holder in holders if path == data_lock() or holder.study == study.name}
            names = ", and ".join(users) or str(Holder())
            raise InputError(
                f"{path.parent.parent}: in use by {names}. Nothing was deleted. Wait until it ends, or stop it, and run the "
                "command again."
            ) from None
        if descriptor is not None:
            stack.callback(release, descriptor)


def _delete(study: Study, delete: Sequence[PrunableFile], results: bool) -> None:
    failed = []
    for file in delete:
        try:
            _remove(file.path)
        except OSError as error:
            failed.append(f"{file.path} ({error.strerror})")
    if results and not failed:
        shutil.rmtree(study_locks(study), ignore_errors=True)
    for file in delete:
        _remove_empty(file.path.parent)
    if failed:
        raise InputError(
            f"could not be deleted: {'; '.join(failed[:5])}. The other files were deleted. Check who owns these files."
        )


def _remove(path: Path) -> None:
    """Delete a file, a folder, or a link but not its target."""
    if any(parent.is_symlink() for parent in list(path.parents)[:-2]):
        raise OSError(0, "lies behind a link")
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _remove_empty(folder: Path) -> None:
    """Delete a folder if it is empty now, and empty folders above it; data/ and results/ stay."""
    while len(folder.parts) > 1:
        try:
            folder.rmdir()
        except FileNotFoundError:
            pass  # deleted already, for another file in it
        except OSError:
            return
        folder = folder.parent
