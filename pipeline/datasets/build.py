"""Writes a dataset: images, masks of class ids, manifest.csv and dataset.json. The folder appears complete or not at all.

Frames are built in several processes. After an interruption the next run reuses the finished frames, if their raw files, the labels and
the code that reads and builds frames are unchanged.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from endoarss.labels import IGNORED
from pipeline.datasets.card import RawFiles, make_card
from pipeline.datasets.manifest import manifest_text
from pipeline.datasets.sample import BAD, Collected, LeftOut, Sample
from pipeline.datasets.splits import random_split_by_activity, split_by_groups, validation_frames
from pipeline.errors import InputError
from pipeline.io.files import resumable_folder, write_json, write_text
from pipeline.io.hashing import digest, sha256_of
from pipeline.io.images import Pixels, plain_png, write_png
from pipeline.io.import_closure import code_sha256, import_closure, module_file
from pipeline.io.processes import ordered_map
from pipeline.labels.classes import LabelSet, class_of_instrument
from pipeline.labels.splits import GIVEN, RANDOM_BY_ACTIVITY

_JOURNAL = "journal.jsonl"  # one line per finished frame, from which an interrupted build continues


@dataclass(frozen=True)
class _BuiltFrame:
    """The record of a frame whose image and mask are written.

    Attributes:
        pixels: number of pixels of each class.
        ignored: number of pixels that belong to no class.
        stamps: (size, modification time) of each raw file.
        sha256: digest of each raw file.
    """

    frame_id: str
    width: int
    height: int
    pixels: list[int]
    ignored: int
    image_sha256: str
    mask_sha256: str
    stamps: list[list[int]]
    sha256: list[str]


def assign_splits(samples: Sequence[Sample], rule: str, seed: int = 0, test: Sequence[str] = ()) -> dict[str, str]:
    """Return the split (train or test) of each frame id.

    Args:
        samples: all frames of the dataset.
        rule: `GIVEN`, `RANDOM_BY_ACTIVITY` (seeded draw per activity) or `BY_SEQUENCE` (`test` names sequences or frames).
        seed: seed of the random draw.
        test: names of the test sequences or test frames.

    Raises:
        InputError: if a frame has no given split under `GIVEN`, or if `split_by_groups` raises it.
    """
    if rule == GIVEN:
        unsplit = [sample.frame_id for sample in samples if not sample.given_split]
        if unsplit:
            raise InputError(
                f"split: given, but the frame {unsplit[0]} has no given split; expected train or test for each frame (for your own "
                "frames in the column split of labels.csv), or another split rule."
            )
        return {sample.frame_id: sample.given_split for sample in samples}
    if rule == RANDOM_BY_ACTIVITY:
        return random_split_by_activity({sample.frame_id: sample.activity for sample in samples}, seed)
    return split_by_groups({sample.frame_id: sample.sequence for sample in samples}, test)


def check_unique(samples: Sequence[Sample]) -> None:
    """Raise InputError if two frames of a dataset have the same id."""
    repeated = [frame_id for frame_id, times in Counter(s.frame_id for s in samples).items() if times > 1]
    if repeated:
        raise InputError(f"the frame id {repeated[0]} occurs twice; check whether a release is extracted twice.")


def check_split_is_readable(dataset: str, split: Mapping[str, str], failures: Mapping[str, str]) -> None:
    """Raise InputError if none of the frames of a split can be read.

    Args:
        dataset: name of the dataset.
        split: train or test by frame id.
        failures: the reason why a frame cannot be read, by frame id.
    """
    readable = {name for frame_id, name in split.items() if frame_id not in failures}
    empty = sorted(set(split.values()) - readable)
    if empty:
        unreadable = f"no frame of the {empty[0]} split" if readable else f"none of the {len(split)} frames"
        raise InputError(f"{dataset}: {unreadable} can be read. {next(iter(failures.values()))}")


def write_dataset(
    folder: Path,
    labels: LabelSet,
    collected: Collected,
    split: Mapping[str, str],
    roots: Mapping[str, Path],
    card: Mapping[str, Any],
    workers: int = 1,
    skip_bad: bool = False,
    check_split: Callable[[Sequence[Sample]], None] = lambda samples: None,
) -> None:
    """Write a dataset into `folder` and replace an earlier one.

    Args:
        folder: e.g. data/datasets/mtlendovis.
        labels: classes and activities of the dataset.
        collected: frames of the dataset.
        split: train or test by frame id.
        roots: raw trees by source.
        card: entries of dataset.json that `make_card` does not compute.
        workers: number of processes.
        skip_bad: leave unreadable frames out and name them in the card, instead of stopping.
        check_split: raises InputError if the readable frames are too few for the study.

    Raises:
        InputError: if two frames have the same id, another process builds the dataset, or a frame cannot be read. With `skip_bad`,
            unreadable frames raise it only if a split has no readable frame, or if `check_split` raises it. `folder` stays as it was.
    """
    samples = sorted(collected.samples, key=lambda sample: sample.frame_id)
    check_unique(samples)
    key = digest(
        {"name": folder.name, "labels": asdict(labels), "notes": collected.notes, "code": _code_sha256(samples)}
    )
    with resumable_folder(folder, key) as partial_folder:
        for name in ("images", "masks"):
            (partial_folder / name).mkdir(exist_ok=True)
        frames, failures = _build_frames(partial_folder, samples, labels, workers, skip_bad)
        check_split_is_readable(folder.name, split, failures)
        readable = [sample for sample in samples if sample.frame_id in frames]
        if failures:
            check_split(readable)
        _delete_other_frames(partial_folder, set(frames))
        rows = _manifest_rows(readable, frames, split, labels)
        left_out = [*collected.left_out, *(LeftOut(error, (frame_id,), BAD) for frame_id, error in failures.items())]
        raw_files = [RawFiles(sample.files, frames[sample.frame_id].sha256) for sample in readable]
        pixels = np.sum([frame.pixels for frame in frames.values()], axis=0)
        ignored = sum(frame.ignored for frame in frames.values())
        entries = {**collected.notes, **card}
        full_card = make_card(labels, rows, pixels.tolist(), ignored, left_out, raw_files, roots, entries)
        write_text(partial_folder / "manifest.csv", manifest_text(rows))
        write_json(partial_folder / "dataset.json", full_card)
        (partial_folder / _JOURNAL).unlink(missing_ok=True)


def _build_frames(
    folder: Path, samples: Sequence[Sample], labels: LabelSet, workers: int, skip_bad: bool
) -> tuple[dict[str, _BuiltFrame], dict[str, str]]:
    """Build the frames that an earlier run did not finish. Return all built frames and all errors, by frame id."""
    built = _read_journal(folder, samples)
    remaining = [sample for sample in samples if sample.frame_id not in built]
    failures: dict[str, str] = {}
    work = partial(_build_frame, folder, len(labels.classes))
    with (folder / _JOURNAL).open("a", encoding="utf-8") as journal:
        label = f"build {folder.name.strip('.').split('.')[0]}"
        results = ordered_map(work, remaining, workers, label, done=len(built))
        for sample, result in zip(remaining, results, strict=True):
            if isinstance(result, str):
                if not skip_bad:
                    raise InputError(f"{result} (skip_bad leaves such frames out and names them in the dataset's card)")
                failures[sample.frame_id] = result
                continue
            built[result.frame_id] = result
            journal.write(json.dumps(asdict(result)) + "\n")
            journal.flush()
    return built, failures


def _build_frame(folder: Path, classes: int, sample: Sample) -> _BuiltFrame | str:
    """Write one frame and return its record, or an error message if it cannot be read."""
    stamps = _stamps(sample)
    try:
        image, mask = sample.read()
        name = f"{sample.frame_id}.png"
        image_sha256 = _write_image(folder / "images" / name, image, sample.image_file)
        write_png(folder / "masks" / name, mask)
        sha256 = [sha256_of(path) for path in sample.files]
    except InputError as error:
        return str(error)
    counts = np.bincount(mask.ravel(), minlength=IGNORED + 1).tolist()
    height, width = mask.shape
    mask_sha256 = sha256_of(folder / "masks" / name)
    pixels, ignored = counts[:classes], counts[IGNORED]
    return _BuiltFrame(sample.frame_id, width, height, pixels, ignored, image_sha256, mask_sha256, stamps, sha256)


def _write_image(path: Path, image: Pixels, original: Path | None) -> str:
    """Write an image and return its digest. An unchanged PNG is copied, because encoding it again would take most of the time."""
    content = plain_png(original) if original is not None else None
    if content is not None:
        path.write_bytes(content)
    else:
        write_png(path, image)
    return sha256_of(path)


def _stamps(sample: Sample) -> list[list[int]]:
    # A missing file is left out, because reading the frame reports it.
    stats = [path.stat() for path in sample.files if path.exists()]
    return [[stat.st_size, stat.st_mtime_ns] for stat in stats]


def _read_journal(folder: Path, samples: Sequence[Sample]) -> dict[str, _BuiltFrame]:
    """Return the frames that an interrupted run finished, if their raw files are unchanged and the written files are complete."""
    path = folder / _JOURNAL
    finished: dict[str, _BuiltFrame] = {}
    by_id = {sample.frame_id: sample for sample in samples}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            frame = _BuiltFrame(**json.loads(line))
        except (ValueError, TypeError):
            continue  # the run stopped while it wrote this line
        sample = by_id.get(frame.frame_id)
        if sample is not None and frame.stamps == _stamps(sample) and len(frame.stamps) == len(sample.files):
            finished[frame.frame_id] = frame
    digests = {"images": "image_sha256", "masks": "mask_sha256"}
    for frame_id, frame in list(finished.items()):
        for name, column in digests.items():
            written = folder / name / f"{frame_id}.png"
            if not written.is_file() or sha256_of(written) != getattr(frame, column):
                finished.pop(frame_id, None)
    return finished


def _delete_other_frames(folder: Path, frame_ids: set[str]) -> None:
    """Delete images and masks of other frames, which an interrupted run may have left."""
    for name in ("images", "masks"):
        for written in (folder / name).iterdir():
            if written.stem not in frame_ids:
                written.unlink()


def _code_sha256(samples: Sequence[Sample]) -> str:
    """Return the digest of the code that reads and builds frames, because another version must not continue an interrupted build."""
    readers = {
        read.func.__module__ if isinstance(read, partial) else read.__module__ for read in (s.read for s in samples)
    }
    return code_sha256(import_closure(__name__, *(name for name in readers if module_file(name))))


def _manifest_rows(
    samples: Sequence[Sample], frames: Mapping[str, _BuiltFrame], split: Mapping[str, str], labels: LabelSet
) -> list[dict[str, Any]]:
    validation = validation_frames(samples, split)
    rows = []
    for sample in samples:
        frame = frames[sample.frame_id]
        present = [labels.classes[index] for index, count in enumerate(frame.pixels) if count and index]
        rows.append(
            {
                "frame_id": sample.frame_id,
                "source": sample.source,
                "sequence": sample.sequence,
                "split": split[sample.frame_id],
                "validation": "yes" if sample.frame_id in validation else "",
                "activity": sample.activity,
                "actions": ";".join(sample.actions),
                "instruments": ";".join(present),
                "image": f"images/{sample.frame_id}.png",
                "mask": f"masks/{sample.frame_id}.png",
                "width": frame.width,
                "height": frame.height,
                "image_sha256": frame.image_sha256,
                "mask_sha256": frame.mask_sha256,
                "flags": ";".join(_flags(sample, frame, present, labels)),
            }
        )
    return rows


def _flags(sample: Sample, frame: _BuiltFrame, present: Sequence[str], labels: LabelSet) -> list[str]:
    flags = list(sample.flags)
    if not present:
        flags.append("empty_mask")
    if frame.ignored:
        flags.append("ignored_pixels")
    if sample.instruments:
        named = {class_of_instrument(labels, instrument) for instrument in sample.instruments}
        if None in named:
            flags.append("instrument_without_class")
        if named - {None} - set(present):
            flags.append("named_not_in_mask")
        if set(present) - named:
            flags.append("in_mask_not_named")
    return flags
