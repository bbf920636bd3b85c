"""Corrupts a folder of images and their masks, with several corruptions at several severities.

The command `corruptions apply` writes the results to OUT/<corruption>/<severity>/images/<path>.png and .../masks/<path>.png, the
uncorrupted files to OUT/clean/0, and the settings to OUT/corruptions.json. A file is written under a temporary name and then renamed, so an
interrupted run can continue.
"""

from __future__ import annotations

import errno
import fcntl
import importlib.metadata
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from corruptions.api import SMALLEST, backend_of, corrupt, moves_pixels, sweep, sweep_pair
from corruptions.catalogue import CORRUPTIONS, SEVERITIES, known_corruptions
from corruptions.command.files import (
    Picture,
    encode_png,
    find_pictures,
    listed_pictures,
    walk,
    write_whole,
)
from corruptions.errors import CorruptionError, UnknownNameError
from corruptions.field_of_view import CORRUPT
from corruptions.own_modules import add_own_modules, sources_sha256
from corruptions.pictures import MAX_PIXELS, Pixels, read_image, read_mask, resize_image, resize_mask
from corruptions.regular import open_regular
from corruptions.system_errors import SHARED_MEMORY
from corruptions.workers import ordered_results

SETTINGS_FILE = "corruptions.json"
CLEAN = ("clean", 0)
_UNFINISHED, _LOCK = ".unfinished", ".lock"  # a folder and a file, in OUT while it is written
_GREY_IMAGE = np.full((SMALLEST, SMALLEST, 3), 128, np.uint8)


@dataclass(frozen=True)
class Settings:
    """The settings that decide the images.

    Attributes:
        corruptions: names, in the order of the catalogue.
        severities: in ascending order.
        seed: as for `corrupt`.
        profile: as for `corrupt`.
        backend: as for `corrupt`.
        size: images are first resized to (size, size); None keeps their size.
        parameters: the parameters of each corruption, as for `corrupt`.
        field_of_view: as for `corrupt`.
        components: the names of the user's modules that register corruptions.
    """

    corruptions: tuple[str, ...] = CORRUPTIONS
    severities: tuple[int, ...] = SEVERITIES
    seed: int = 0
    profile: str = "standard"
    backend: str = "auto"
    size: int | None = None
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    field_of_view: str = CORRUPT
    components: tuple[str, ...] = ()

    def arguments(self, name: str) -> dict[str, Any]:
        """Return the keyword arguments of `corrupt` for one corruption, without the image's id."""
        common = {"seed": self.seed, "profile": self.profile, "backend": self.backend}
        return {**common, "field_of_view": self.field_of_view, **self.parameters.get(name, {})}

    def check(self) -> None:
        """Raise CorruptionError, which lists the known values, if a setting cannot be used."""
        for kind, values, known in (
            ("corruption", self.corruptions, known_corruptions()),
            ("severity", self.severities, SEVERITIES),
        ):
            for value in values:
                if value not in known:
                    raise UnknownNameError(kind, value, known)
            if not values:
                raise CorruptionError(f"no {kind} is given; known: {', '.join(map(str, known))}.")
        for name in self.parameters:
            if name not in self.corruptions:
                raise CorruptionError(
                    f"a parameter is given for {name}, which is not among {', '.join(self.corruptions)}."
                )
        if self.size is not None and not (self.size >= SMALLEST and self.size**2 <= MAX_PIXELS):
            raise CorruptionError(f"size {self.size}; expected {SMALLEST} to {int(MAX_PIXELS**0.5)} pixels.")
        for name in self.corruptions:
            backend_of(name, self.backend, self.profile)
        # A corruption checks its parameters only when it is applied.
        for name, parameters in self.parameters.items():
            try:
                corrupt(_GREY_IMAGE, name, self.severities[0], **self.arguments(name))
            except (TypeError, ValueError) as error:
                if isinstance(error, CorruptionError):
                    raise
                raise CorruptionError(f"{name}: cannot use {dict(parameters)} ({error}).") from None


@dataclass
class Outcome:
    """What a run did with the images.

    Attributes:
        pictures: the number of all images.
        finished: the number of images that were processed.
        written: the number of files that this run wrote.
        left_out: a message for each image that could not be used: its name and the reason.
    """

    pictures: int
    finished: int = 0
    written: int = 0
    left_out: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Result:
    """What a worker did with one image: the number of files it wrote, and what is wrong with the image (empty if nothing is)."""

    written: int
    fault: str = ""


def apply_to_folder(
    source: Path,
    out: Path,
    settings: Settings,
    masks: Path | None = None,
    only: Path | None = None,
    workers: int = 1,
) -> Outcome:
    """Corrupt every image below `source`, with its mask if `masks` is given.

    The id of an image is its path below `source` without suffix: `corrupt(image, ..., image_id=id)` gives the same pixels.

    Args:
        source: a folder of images with 8 bits per channel.
        out: the folder for the results. Complete files of an earlier run with the same settings are not written again.
        settings: the corruptions, severities and other settings.
        masks: a folder of PNGs of class ids at the same relative paths.
        only: a text file that lists the images to corrupt.
        workers: the number of processes.

    Returns:
        What the run did. An image that cannot be used is left out; the others are corrupted.

    Raises:
        CorruptionError: if settings or folders cannot be used; nothing is written then.
        OSError: if a file cannot be written; the files written before are complete.
    """
    settings.check()
    if workers < 1:
        raise CorruptionError(f"{workers} workers; expected 1 or more.")
    _check_folders(source, out, masks)
    pictures = find_pictures(source)
    if only is not None:
        pictures = listed_pictures(pictures, only, source)
    if masks is not None and not any(_mask_of(masks, picture).is_file() for picture in pictures):
        raise CorruptionError(
            f"{masks}: no image has a mask here; expected, for example, {_mask_of(masks, pictures[0])}."
        )
    recorded = _recorded_settings(settings, masks is not None)
    outcome = Outcome(len(pictures))
    try:
        out.mkdir(parents=True, exist_ok=True)
        with _locked(out):
            _check_earlier(out, recorded, pictures)
            with _unfinished_folder(out) as unfinished:
                job = _Job(settings, source, out, masks, unfinished)
                _write_settings(job, recorded, outcome)
                _run(job, pictures, workers, outcome)
                _write_settings(job, recorded, outcome)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT) or error.filename == SHARED_MEMORY:
            raise
        raise OSError(
            error.errno,
            f"OUT {out}: the disk is full, after {outcome.finished} of {outcome.pictures} images. Every file there is "
            "complete. Free some space, then run the same command again: it continues from there.",
        ) from None
    return outcome


def _check_folders(source: Path, out: Path, masks: Path | None) -> None:
    """Refuse folders that do not exist, and an OUT that overlaps IN or the masks."""
    for kind, folder in (("IN", source), ("--masks", masks)):
        if folder is not None and not folder.is_dir():
            raise CorruptionError(
                f"{kind} {folder}: {'it is not a folder' if folder.exists() else 'there is no such folder'}."
            )
    if out.exists() and not out.is_dir():
        raise CorruptionError(f"OUT {out}: it is a file; expected a folder, or a path that does not exist.")
    real_out = out.resolve()
    for kind, folder in (("IN", source), ("--masks", masks)):
        if folder is None:
            continue
        if folder.resolve().is_relative_to(real_out):
            raise CorruptionError(f"OUT {out}: it is {kind} {folder}, or contains it. Choose a separate folder.")
        # A link below IN may lead to OUT; the run would then read its own results.
        for inner, _, _ in walk(folder):
            real = inner.resolve()
            if real_out.is_relative_to(real) or real.is_relative_to(real_out):
                raise CorruptionError(
                    f"OUT {out}: it lies in {kind} {folder}, or is linked from it. Choose a separate folder."
                )


def _mask_of(masks: Path, picture: Picture) -> Path:
    """Return the path of an image's mask."""
    return masks / f"{picture.image_id}.png"


def _recorded_settings(settings: Settings, with_masks: bool) -> dict[str, Any]:
    """Return everything on which the images depend, for corruptions.json. A later run into the same folder must have the same values."""
    optional = {"field_of_view": settings.field_of_view, "components": sources_sha256(settings.components)}
    defaults = {"field_of_view": CORRUPT, "components": {}}
    given = {key: value for key, value in json.loads(json.dumps(asdict(settings))).items() if key not in optional}
    return {
        "version": _version(),
        "packages": {name: importlib.metadata.version(name) for name in ("numpy", "scipy", "numba", "pillow")},
        "opencv": cv2.__version__,
        **given,
        **{key: value for key, value in optional.items() if value != defaults[key]},
        "backends": {name: backend_of(name, settings.backend, settings.profile) for name in settings.corruptions},
        "masks": with_masks,
    }


def _version() -> str:
    """Return the version of the installed package."""
    try:
        return importlib.metadata.version("endoarss")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _check_earlier(out: Path, recorded: Mapping[str, Any], pictures: Sequence[Picture]) -> None:
    """Refuse a folder that holds anything but results of the same settings and images."""
    if not (out / SETTINGS_FILE).exists():
        other_files = sorted(path.name for path in out.glob("*") if not path.name.startswith("."))
        if other_files:
            raise CorruptionError(
                f"OUT {out}: it holds {other_files[0]}, but no {SETTINGS_FILE}, so no earlier run wrote it. "
                "Choose a new or empty folder."
            )
        return
    try:
        with open_regular(out / SETTINGS_FILE) as stream:
            earlier = json.load(stream)
        earlier = {key: earlier[key] for key in recorded}
    except (OSError, ValueError, KeyError, TypeError):
        raise CorruptionError(
            f"{out / SETTINGS_FILE}: it was not written by this command, or is damaged. Choose another folder."
        ) from None
    changed = [
        f"{key} was {_setting_text(earlier[key])}, is {_setting_text(recorded[key])}"
        for key in recorded
        if earlier[key] != recorded[key]
    ]
    if changed:
        raise CorruptionError(
            f"OUT {out}: it was started with other settings: {'; '.join(changed)}. Choose another folder, or the same settings."
        )
    images = _folder(out, *CLEAN) / "images"
    if images.is_dir():
        saved = {path.relative_to(images).with_suffix("").as_posix() for path in images.rglob("*.png")}
        gone = sorted(saved - {picture.image_id for picture in pictures})
        if gone:
            raise CorruptionError(
                f"OUT {out}: it holds results of {len(gone)} images that are not in IN, such as {gone[0]}. "
                "Choose another folder."
            )


def _setting_text(value: Any) -> str:
    """Return a setting as the error message shows it."""
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _folder(out: Path, name: str, severity: int) -> Path:
    """Return the folder of one corruption and severity."""
    return out / name / str(severity)


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Hold a lock on OUT within the block; the system releases it when this process ends, however it ends."""
    with (out / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path = out / _LOCK
            if not path.exists() or not os.path.samestat(path.stat(), os.fstat(lock.fileno())):
                raise BlockingIOError  # the process before has just deleted the file, and another one may have created a new one
        except BlockingIOError:
            raise CorruptionError(f"OUT {out}: another process is writing it. Wait for it, or stop it.") from None
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):  # a file system without locks
                raise
        try:
            yield
        finally:
            (out / _LOCK).unlink(missing_ok=True)


@contextmanager
def _unfinished_folder(out: Path) -> Iterator[Path]:
    """Yield a folder for files that are being written. Delete it at the end, with the files that a killed run left in it."""
    folder = out / _UNFINISHED
    folder.mkdir(exist_ok=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class _Job:
    """What all images of a run have in common; each worker process gets a copy."""

    settings: Settings
    source: Path
    out: Path
    masks: Path | None
    unfinished: Path

    def file(self, name: str, severity: int, kind: str, picture: Picture) -> Path:
        """Return the path of one result."""
        return _folder(self.out, name, severity) / kind / f"{picture.image_id}.png"

    def kinds(self) -> tuple[str, ...]:
        """Return the kinds of results per image."""
        return ("images",) if self.masks is None else ("images", "masks")

    def is_done(self, name: str, severity: int, picture: Picture) -> bool:
        """Return whether all results of an image exist for one corruption and severity."""
        return all(_is_saved(self.file(name, severity, kind, picture)) for kind in self.kinds())


def _is_saved(path: Path) -> bool:
    """Return whether a file exists and is not empty; a power failure may leave a new file empty."""
    return path.is_file() and path.stat().st_size > 0


def _run(job: _Job, pictures: Sequence[Picture], workers: int, outcome: Outcome) -> None:
    """Corrupt all images in worker processes and count what they did."""
    work = partial(_corrupt_picture, job)
    with (
        closing(ordered_results(work, pictures, workers)) as results,
        tqdm(total=len(pictures), desc="corrupt", unit="image", mininterval=0.5) as progress,
    ):
        for result in results:
            outcome.finished += 1
            outcome.written += result.written
            outcome.left_out += [result.fault] if result.fault else []
            progress.update()


def _corrupt_picture(job: _Job, picture: Picture) -> _Result:
    """Write the results of one image that do not exist yet."""
    settings = job.settings
    add_own_modules(settings.components)  # a worker process has not imported them yet
    try:
        image, mask = _read(job, picture)
        clean = {"images": encode_png(image)} | ({} if mask is None else {"masks": encode_png(mask)})
        written = 0
        for name in settings.corruptions:
            severities = [severity for severity in settings.severities if not job.is_done(name, severity, picture)]
            if not severities:
                continue
            pairs = _sweep(job, picture, name, severities, image, mask)
            # The clean image is written after the first sweep: if the sweep refuses the image, nothing is written for it.
            written += _write_clean(job, picture, clean)
            for severity, (corrupted, moved) in zip(severities, pairs, strict=True):
                contents = {"images": encode_png(corrupted)}
                if moved is not None:
                    contents["masks"] = encode_png(moved) if moves_pixels(name) else clean["masks"]
                written += _write(job, picture, name, severity, contents)
        return _Result(written + _write_clean(job, picture, clean))
    except CorruptionError as error:
        return _Result(0, f"{_name_below_source(job, picture)}: {error}")
    except MemoryError:
        return _Result(0, f"{_name_below_source(job, picture)}: not enough memory for it. Try --workers 1.")
    except OSError:
        raise
    except Exception as error:  # one image among thousands must not stop the others
        return _Result(0, f"{_name_below_source(job, picture)}: {type(error).__name__}: {error}")


def _name_below_source(job: _Job, picture: Picture) -> str:
    """Return an image's path below IN, because corruptions.json must not contain folders of this computer."""
    return picture.path.relative_to(job.source).as_posix().encode(errors="backslashreplace").decode()


def _read(job: _Job, picture: Picture) -> tuple[Pixels, Pixels | None]:
    """Return an image and its mask, resized if the settings say so."""
    try:
        picture.image_id.encode()
    except UnicodeEncodeError:
        raise CorruptionError("its name is not UTF-8. Rename it.") from None
    image, mask = read_image(picture.path), None
    if job.masks is not None:
        try:
            mask = read_mask(_mask_of(job.masks, picture))
        except CorruptionError as error:
            raise CorruptionError(f"its mask {picture.image_id}.png: {error}") from None
        if mask.shape != image.shape[:2]:
            raise CorruptionError(
                f"its mask is {mask.shape[1]}x{mask.shape[0]} pixels, the image is {image.shape[1]}x{image.shape[0]}. "
                "Expected the same size."
            )
    if job.settings.size is not None:
        image = resize_image(image, job.settings.size)
        mask = None if mask is None else resize_mask(mask, job.settings.size)
    return image, mask


def _sweep(
    job: _Job, picture: Picture, name: str, severities: Sequence[int], image: Pixels, mask: Pixels | None
) -> Sequence[tuple[Pixels, Pixels | None]]:
    """Return the corrupted image and its mask, if it has one, at each severity."""
    arguments = {**job.settings.arguments(name), "image_id": picture.image_id}
    if mask is None:
        return [(corrupted, None) for corrupted in sweep(image, name, severities, **arguments)]
    return sweep_pair(image, mask, name, severities, **arguments)


def _write_clean(job: _Job, picture: Picture, clean: Mapping[str, bytes]) -> int:
    """Save the uncorrupted image and mask, and return the number of files. Refuse an image that differs from the saved one."""
    for kind, content in clean.items():
        path = job.file(*CLEAN, kind, picture)
        if _is_saved(path) and path.read_bytes() != content:
            raise CorruptionError("it has changed since an earlier run into OUT. Choose another OUT.")
    return 0 if job.is_done(*CLEAN, picture) else _write(job, picture, *CLEAN, clean)


def _write(job: _Job, picture: Picture, name: str, severity: int, contents: Mapping[str, bytes]) -> int:
    """Write the files of one corruption and severity; return how many."""
    for kind, content in contents.items():
        write_whole(job.file(name, severity, kind, picture), content, job.unfinished)
    return len(contents)


def _write_settings(job: _Job, recorded: Mapping[str, Any], outcome: Outcome) -> None:
    """Write corruptions.json: the settings, and the number of images that are complete."""
    state = {
        "images": outcome.finished - len(outcome.left_out),
        "complete": outcome.finished == outcome.pictures and not outcome.left_out,
        "left_out": outcome.left_out,
    }
    text = json.dumps({**recorded, **state}, indent=2, sort_keys=True) + "\n"
    write_whole(job.out / SETTINGS_FILE, text.encode(), job.unfinished)
