"""Writes a dataset: images, masks of class ids, manifest.csv and dataset.json, whole or not at all.

Frames are built in several processes. What was built before an interruption is taken over by the next run, frame by frame,
if neither the raw files nor the code that reads them changed.
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
from pipeline.datasets.card import Built, make_card
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

_JOURNAL = "journal.jsonl"


@dataclass(frozen=True)
class _Frame:
    """What is known of a frame once it is written. pixels: of each class; ignored: of none. stamps: (size, time) of each raw file;
    sha256: of each raw file."""

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
    """The part of each frame id.

    Args:
        samples: all frames of the dataset.
        rule: `GIVEN`, `RANDOM_BY_ACTIVITY` (seeded draw per activity) or `BY_SEQUENCE` (`test` names sequences or frames).

    Raises:
        InputError: if the rule does not fit the frames.
    """
    if rule == GIVEN:
        unsplit = [sample.frame_id for sample in samples if not sample.given_split]
        if unsplit:
            raise InputError(
                f"split: given, but {unsplit[0]} came with no part; expected train or test for each (of own frames in the "
                "column split of labels.csv), or another split rule."
            )
        return {sample.frame_id: sample.given_split for sample in samples}
    if rule == RANDOM_BY_ACTIVITY:
        return random_split_by_activity({sample.frame_id: sample.activity for sample in samples}, seed)
    return split_by_groups({sample.frame_id: sample.sequence for sample in samples}, test)


def check_unique(samples: Sequence[Sample]) -> None:
    """Raise InputError if two frames of a dataset have the same id."""
    repeated = [frame_id for frame_id, times in Counter(s.frame_id for s in samples).items() if times > 1]
    if repeated:
        raise InputError(f"the frame id {repeated[0]} occurs twice; is a release extracted twice?")


def check_split_is_readable(dataset: str, split: Mapping[str, str], failures: Mapping[str, str]) -> None:
    """Raise InputError if leaving unreadable frames out leaves a part of the split, or all of it, empty.

    Args:
        dataset: its name. split: part of each frame id. failures: why a frame cannot be read, by frame id.
    """
    kept = {part for frame_id, part in split.items() if frame_id not in failures}
    lost = sorted(set(split.values()) - kept)
    if lost:
        what = f"no frame of the {lost[0]} part" if kept else f"no frame of {len(split)}"
        raise InputError(f"{dataset}: {what} can be read. {next(iter(failures.values()))}")


def write_dataset(
    folder: Path,
    labels: LabelSet,
    collected: Collected,
    split: Mapping[str, str],
    roots: Mapping[str, Path],
    card: Mapping[str, Any],
    workers: int = 1,
    skip_bad: bool = False,
    check_split: Callable[[Sequence[Sample]], None] = lambda kept: None,
) -> None:
    """Write a dataset into `folder`, replacing what is there.

    Args:
        folder: e.g. data/datasets/mtlendovis. labels: its classes and activities.
        collected: its frames. split: the part of each frame id. roots: the raw trees by source.
        card: what dataset.json says besides classes, counts and digests.
        workers: processes. skip_bad: leave unreadable frames out and name them in the card, instead of stopping.
        check_split: raises InputError if frames that are left do not do for what the study wants of the split.

    Raises:
        InputError: if a frame cannot be read or two have the same id; the dataset is not written then.
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
        kept = [sample for sample in samples if sample.frame_id in frames]
        if failures:
            check_split(kept)
        _remove_others(partial_folder, set(frames))
        rows = _rows(kept, frames, split, labels)
        left_out = [*collected.left_out, *(LeftOut(error, (frame_id,), BAD) for frame_id, error in failures.items())]
        built = [Built(sample.files, frames[sample.frame_id].sha256) for sample in kept]
        pixels = np.sum([frame.pixels for frame in frames.values()], axis=0)
        ignored = sum(frame.ignored for frame in frames.values())
        made = make_card(labels, rows, pixels.tolist(), ignored, left_out, built, roots, {**collected.notes, **card})
        write_text(partial_folder / "manifest.csv", manifest_text(rows))
        write_json(partial_folder / "dataset.json", made)
        (partial_folder / _JOURNAL).unlink(missing_ok=True)


def _build_frames(
    folder: Path, samples: Sequence[Sample], labels: LabelSet, workers: int, skip_bad: bool
) -> tuple[dict[str, _Frame], dict[str, str]]:
    """Build the frames that an earlier run did not finish; return all of them, and why others cannot be read, by frame id."""
    done = _read_journal(folder, samples)
    left = [sample for sample in samples if sample.frame_id not in done]
    failures: dict[str, str] = {}
    work = partial(_build_frame, folder, len(labels.classes))
    with (folder / _JOURNAL).open("a", encoding="utf-8") as journal:
        label = f"build {folder.name.strip('.').split('.')[0]}"
        results = ordered_map(work, left, workers, label, done=len(done))
        for sample, result in zip(left, results, strict=True):
            if isinstance(result, str):
                if not skip_bad:
                    raise InputError(f"{result} (skip_bad leaves such frames out and names them in the dataset's card)")
                failures[sample.frame_id] = result
                continue
            done[result.frame_id] = result
            journal.write(json.dumps(asdict(result)) + "\n")
            journal.flush()
    return done, failures


def _build_frame(folder: Path, classes: int, sample: Sample) -> _Frame | str:
    """Write one frame; return what is known of it, or why it cannot be read."""
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
    return _Frame(sample.frame_id, width, height, pixels, ignored, image_sha256, mask_sha256, stamps, sha256)


def _write_image(path: Path, image: Pixels, original: Path | None) -> str:
    """Write a picture and give its digest. A PNG that is taken as it is is copied: encoding it again costs most of the time."""
    content = plain_png(original) if original is not None else None
    if content is not None:
        path.write_bytes(content)
    else:
        write_png(path, image)
    return sha256_of(path)


def _stamps(sample: Sample) -> list[list[int]]:
    # A file that is missing is found out when it is read.
    stats = [path.stat() for path in sample.files if path.exists()]
    return [[stat.st_size, stat.st_mtime_ns] for stat in stats]


def _read_journal(folder: Path, samples: Sequence[Sample]) -> dict[str, _Frame]:
    """The frames that an interrupted run finished, if their raw files are as they were and what it wrote is whole."""
    path = folder / _JOURNAL
    found: dict[str, _Frame] = {}
    by_id = {sample.frame_id: sample for sample in samples}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            frame = _Frame(**json.loads(line))
        except (ValueError, TypeError):
            continue  # the line being written when the run was cut off
        sample = by_id.get(frame.frame_id)
        if sample is not None and frame.stamps == _stamps(sample) and len(frame.stamps) == len(sample.files):
            found[frame.frame_id] = frame
    digests = {"images": "image_sha256", "masks": "mask_sha256"}
    for frame_id, frame in list(found.items()):
        for name, column in digests.items():
            written = folder / name / f"{frame_id}.png"
            if not written.is_file() or sha256_of(written) != getattr(frame, column):
                found.pop(frame_id, None)
    return found


def _remove_others(folder: Path, frame_ids: set[str]) -> None:
    """Remove what an interrupted run wrote of frames that are no longer asked for, or can no longer be read."""
    for name in ("images", "masks"):
        for written in (folder / name).iterdir():
            if written.stem not in frame_ids:
                written.unlink()


def _code_sha256(samples: Sequence[Sample]) -> str:
    """Digest the code that builds frames and reads them: another version of it does not go on where this one stopped."""
    readers = {
        read.func.__module__ if isinstance(read, partial) else read.__module__ for read in (s.read for s in samples)
    }
    return code_sha256(import_closure(__name__, *(name for name in readers if module_file(name))))


def _rows(
    samples: Sequence[Sample], frames: Mapping[str, _Frame], split: Mapping[str, str], labels: LabelSet
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


def _flags(sample: Sample, frame: _Frame, present: Sequence[str], labels: LabelSet) -> list[str]:
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
