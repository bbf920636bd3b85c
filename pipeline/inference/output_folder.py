"""The folder that `endoarss predict` writes to: one run at a time, whole results or none, and nothing of anybody else replaced."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import InputError
from pipeline.locking.locks import HeldError, Holder, Lock, holder, release, take

# What the step writes below its folder. The first comes first and tells whose the others are; the table comes last.
ABOUT, LEGEND, TABLE = "predictions.json", "legend.csv", "predictions.csv"
MASKS, OVERLAYS = "masks", "overlays"
_LOCK = ".predict.lock"
_MAKING = ".predict.partial"  # where results are until all of them are there


@contextmanager
def alone(out: Path, checkpoint: Path) -> Iterator[None]:
    """Hold the lock of a folder of results while the block runs.

    Raises:
        InputError: if another process holds it.
    """
    lock = Lock(out / _LOCK)
    try:
        descriptor = take(lock, Holder.here("predict", f"predicts with {checkpoint}"), wait=False)
    except HeldError:
        raise InputError(
            f"--out {out}: {holder(lock.path) or 'another process'} writes there. Wait for it, or choose another folder."
        ) from None
    try:
        yield
    finally:
        lock.path.unlink(missing_ok=True)
        if descriptor is not None:
            release(descriptor)


@contextmanager
def partial_results(out: Path, inputs: Sequence[Path], overwrite: bool) -> Iterator[Path]:
    """Give an empty folder in `out` for results until all of them are there; nothing of it stays, whatever happens."""
    check_output(out, inputs, overwrite)  # again, because another run may have ended meanwhile
    made = out / _MAKING
    shutil.rmtree(made, ignore_errors=True)  # of a run that was killed
    made.mkdir()
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def check_output(out: Path, inputs: Sequence[Path], overwrite: bool) -> None:
    """See that results may be written to a folder: it is apart from the inputs, and holds nothing but results of this step.

    Args:
        out: the folder. inputs: what is predicted. overwrite: whether results of an earlier run may be replaced.

    Raises:
        InputError: if they may not.
    """
    place = out.resolve()
    for given in inputs:
        path = given.resolve()
        if place == path or (path.is_dir() and place.is_relative_to(path)):
            raise InputError(f"--out {out}: is the input {given} or lies in it. Choose a folder outside of all inputs.")
        if any(path.is_relative_to(place / name) for name in (MASKS, OVERLAYS)):
            raise InputError(f"--out {out}: its results would lie where the input {given} is. Choose another folder.")
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out}: a file; expected a folder, or nothing there yet.")
    for name in (MASKS, OVERLAYS):
        if (out / name).is_symlink():
            raise InputError(f"--out {out}: its {name} is a link, which is not replaced. Choose another folder.")
    there = [name for name in (TABLE, MASKS, OVERLAYS, LEGEND, ABOUT) if (out / name).exists()]
    # A folder of masks may be somebody's work of months: only what this step wrote is ever replaced.
    if there and not (out / ABOUT).is_file():
        raise InputError(
            f"--out {out}: holds {', '.join(there)}, but no {ABOUT}, so `predict` did not write it. Choose another folder."
        )
    if there and not overwrite:
        raise InputError(
            f"--out {out}: holds {', '.join(there)} of an earlier run. Choose another folder, or add --overwrite to replace them."
        )


def replace(out: Path, made: Path) -> None:
    """Put results in the place of those of an earlier run: the old table goes first, and the new one comes last."""
    for name in (TABLE, LEGEND):
        (out / name).unlink(missing_ok=True)
    for name in (MASKS, OVERLAYS):
        if (out / name).exists():
            shutil.rmtree(out / name)
    for name in (ABOUT, LEGEND, MASKS, OVERLAYS, TABLE):
        if (made / name).exists():
            (made / name).replace(out / name)
