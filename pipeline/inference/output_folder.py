"""Checks, locks and fills the output folder of `endoarss predict`. Results appear together, and replace only results of `predict`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import InputError
from pipeline.locking.locks import HeldError, Holder, Lock, holder, release, take

# The files and folders of results. ABOUT is written first and shows that `predict` wrote the others; TABLE is written last.
ABOUT, LEGEND, TABLE = "predictions.json", "legend.csv", "predictions.csv"
MASKS, OVERLAYS = "masks", "overlays"
_LOCK = ".predict.lock"
_UNFINISHED = ".predict.partial"  # the folder of results until all of them are written


@contextmanager
def locked(out: Path, checkpoint: Path) -> Iterator[None]:
    """Hold the lock of a folder of results in the block.

    Raises:
        InputError: if another process holds the lock.
    """
    lock = Lock(out / _LOCK)
    try:
        descriptor = take(lock, Holder.here("predict", f"predicts with {checkpoint}"), wait=False)
    except HeldError:
        raise InputError(
            f"--out {out}: {holder(lock.path) or 'another process'} writes to it. Wait until that process ends, or choose another folder."
        ) from None
    try:
        yield
    finally:
        lock.path.unlink(missing_ok=True)
        if descriptor is not None:
            release(descriptor)


@contextmanager
def partial_results(out: Path, inputs: Sequence[Path], overwrite: bool) -> Iterator[Path]:
    """Yield an empty folder in `out` for unfinished results, and delete it after the block."""
    check_output(out, inputs, overwrite)  # again, because another run may have written results meanwhile
    unfinished = out / _UNFINISHED
    shutil.rmtree(unfinished, ignore_errors=True)  # of a run that was killed
    unfinished.mkdir()
    try:
        yield unfinished
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def check_output(out: Path, inputs: Sequence[Path], overwrite: bool) -> None:
    """Check that results may be written to a folder: it does not overlap the inputs, and no files of others would be replaced.

    Args:
        out: the folder.
        inputs: the images, videos and folders that are predicted.
        overwrite: whether results of an earlier run may be replaced.

    Raises:
        InputError: if results must not be written there.
    """
    resolved = out.resolve()
    for source in inputs:
        path = source.resolve()
        if resolved == path or (path.is_dir() and resolved.is_relative_to(path)):
            raise InputError(
                f"--out {out}: is the input {source} or lies in it. Choose a folder outside of all inputs."
            )
        if any(path.is_relative_to(resolved / name) for name in (MASKS, OVERLAYS)):
            raise InputError(
                f"--out {out}: its results would be written over the input {source}. Choose another folder."
            )
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out}: a file; expected a folder, or a name that does not exist yet.")
    for name in (MASKS, OVERLAYS):
        if (out / name).is_symlink():
            raise InputError(f"--out {out}: its {name} is a link, and links are not replaced. Choose another folder.")
    existing = [name for name in (TABLE, MASKS, OVERLAYS, LEGEND, ABOUT) if (out / name).exists()]
    # A folder called masks may hold somebody's annotations, so only results of `predict` are replaced.
    if existing and not (out / ABOUT).is_file():
        raise InputError(
            f"--out {out}: holds {', '.join(existing)}, but no {ABOUT}, so `predict` did not write them. Choose another folder."
        )
    if existing and not overwrite:
        raise InputError(
            f"--out {out}: holds {', '.join(existing)} of an earlier run. Choose another folder, or add --overwrite to replace them."
        )


def replace(out: Path, finished: Path) -> None:
    """Move finished results to `out`, in place of those of an earlier run. The old table is deleted first, the new one is moved last."""
    for name in (TABLE, LEGEND):
        (out / name).unlink(missing_ok=True)
    for name in (MASKS, OVERLAYS):
        if (out / name).exists():
            shutil.rmtree(out / name)
    for name in (ABOUT, LEGEND, MASKS, OVERLAYS, TABLE):
        if (finished / name).exists():
            (finished / name).replace(out / name)
