"""Delete results and shared data that no study needs; without `yes` only list them."""

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

_LISTED = 40


def clean_study(study: Study, yes: bool = False, shared: bool = False, results: bool = False) -> str:
    """List what would be deleted and why; with `yes`, delete it.

    Args:
        study: the study whose results are checked.
        yes: whether to delete.
        shared: whether to include built datasets and generated raw trees that no study in use needs.
        results: whether to include all results of the study.

    Returns:
        The list, as text.

    Raises:
        InputError: if a process uses what would be deleted, or a file cannot be deleted.
    """
    in_use = studies_in_use(study)
    found = find_prunable_files(study, in_use, shared, results)
    if not yes or not found.delete:
        return show(study, found, deleted=False)
    with ExitStack() as stack:
        _alone(study, found.delete, stack)
        found = find_prunable_files(study, in_use, shared, results)  # again, now that the locks are held
        _delete(study, found.delete, results)
    return show(study, found, deleted=True)


def show(study: Study, found: PrunableFiles, deleted: bool) -> str:
    """Return what was found as text; deleted: whether it was deleted already."""
    total = size(sum(one.bytes for one in found.delete))
    lines = [*found.notes]
    if not found.delete:
        lines.append(f"Study {study.name}: nothing to delete.")
    else:
        verb = "Deleted" if deleted else "Would delete"
        places = "one file or folder" if len(found.delete) == 1 else f"{len(found.delete)} files and folders"
        lines.append(f"Study {study.name}. {verb} {total} in {places}:")
        lines += [f"  {size(one.bytes):>8}  {one.path}: {one.why}" for one in found.delete[:_LISTED]]
        lines += _more(len(found.delete))
    if found.kept:
        lines.append("Stays:")
        lines += [f"  {path}: {why}" for path, why in sorted(found.kept.items())[:_LISTED]]
        lines += _more(len(found.kept))
    if found.delete and not deleted:
        lines.append("Nothing was deleted. The same command with --yes deletes it.")
    return "\n".join(lines)


def _more(count: int) -> list[str]:
    return [f"  and {count - _LISTED} more"] if count > _LISTED else []


def _alone(study: Study, delete: Sequence[PrunableFile], stack: ExitStack) -> None:
    """Take the locks of everything that is deleted.

    Raises:
        InputError: if somebody does.
    """
    if any(Path(".snakemake/locks").glob("*.lock")):
        raise InputError(
            ".snakemake/locks: Snakemake works here, or was killed. Nothing was deleted; wait for it, or, if none runs: "
            "snakemake --unlock --cores 1."
        )
    me = Holder.here("clean", f"cleans {study.name}", study.name)
    wanted = [data_lock()] if any(one.shared for one in delete) else []
    wanted += [] if all(one.shared for one in delete) else [study_lock(study)]
    for path in wanted:
        try:
            descriptor = take(Lock(path), me, wait=False)
        except HeldError:
            everybody = [*holders_below(DATA_LOCKS), *holders_below(Path("results"))]
            # Any process may use shared data; results are used by processes that work on the study.
            named = {str(one): None for one in everybody if path == data_lock() or one.study == study.name}
            who = ", and ".join(named) or str(Holder())
            raise InputError(
                f"{path.parent.parent}: in use by {who}. Nothing was deleted. Wait for it, or stop it, and run the command again."
            ) from None
        if descriptor is not None:
            stack.callback(release, descriptor)


def _delete(study: Study, delete: Sequence[PrunableFile], results: bool) -> None:
    failed = []
    for one in delete:
        try:
            _remove(one.path)
        except OSError as error:
            failed.append(f"{one.path} ({error.strerror})")
    if results and not failed:
        shutil.rmtree(study_locks(study), ignore_errors=True)
    for one in delete:
        _remove_empty(one.path.parent)
    if failed:
        raise InputError(
            f"could not be deleted: {'; '.join(failed[:5])}. The rest was deleted. Check who owns these files."
        )


def _remove(path: Path) -> None:
    """Delete a file, a link (not what it leads to) or a folder."""
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
            pass  # deleted with another of its files
        except OSError:
            return
        folder = folder.parent
