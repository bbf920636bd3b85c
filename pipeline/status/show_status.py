"""Write the output of `endoarss status`: progress, time and disk space. Only the estimate imports torch."""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.datasets.card import read_card
from pipeline.errors import InputError
from pipeline.io.disk import bytes_below, size
from pipeline.results.paths import results_file
from pipeline.results.provenance import software
from pipeline.status import progress
from pipeline.status.timing import Timings, duration, timings_of
from pipeline.study.cells import trainings_of
from pipeline.study.folders import dataset_folder, results_folder
from pipeline.study.models import Study
from pipeline.study.robust_models import keeps_corrupted

_LISTED_AT_MOST = 20  # failed and stopped cells that have a line each without --all
_CHECKPOINT = ".safetensors"  # the suffix of checkpoints


@dataclass(frozen=True)
class Status:
    """What `endoarss status` shows.

    Attributes:
        study: name of the study.
        title: title of the study.
        datasets: state of each dataset, in words.
        cells: progress of the models.
        robustness: progress of the robustness evaluations.
        durations: time spent and left.
        disk: bytes by kind of file, and free bytes.
        collected: whether results.parquet exists.
    """

    study: str
    title: str
    datasets: Mapping[str, str]
    cells: Sequence[progress.Progress]
    robustness: Sequence[progress.Progress]
    durations: Timings
    disk: Mapping[str, int]
    collected: bool

    def as_dict(self) -> dict[str, Any]:
        """Return the values as JSON data; times in seconds, disk in bytes."""
        groups = {"cells": self.cells, "robustness": self.robustness}
        return {
            "study": self.study,
            "title": self.title,
            "datasets": dict(self.datasets),
            "counts": {name: _counts(entries) for name, entries in groups.items()},
            **{name: [entry.as_dict() for entry in entries] for name, entries in groups.items()},
            "seconds": self.durations.as_dict(),
            "bytes": dict(self.disk),
            "collected": self.collected,
        }


def status_of(study: Study) -> Status:
    """Return the status of a study. Missing and damaged files are part of the status and raise no error."""
    cells = progress.progress_of_cells(study)
    robustness = progress.progress_of_robustness(study, cells)
    checkpoints, others = bytes_below(results_folder(study), _CHECKPOINT)
    datasets = sum(sum(bytes_below(dataset_folder(study, dataset))) for dataset in study.datasets)
    return Status(
        study.name,
        str(study.title),
        {dataset: _state_of_dataset(study, dataset) for dataset in study.datasets},
        list(cells.values()),
        list(robustness.values()),
        timings_of(study, cells, robustness),
        {
            "datasets": datasets,
            "checkpoints": checkpoints,
            "other results": others,
            "free": shutil.disk_usage(Path()).free,
        },
        results_file(study).is_file(),
    )


def show_status_of(study: Study, every: bool, as_json: bool, estimate: bool) -> Iterator[str]:
    """Yield the status of a study in words, or as JSON.

    Args:
        study: the study.
        every: whether each cell has a line.
        as_json: whether to yield JSON, which has no estimate.
        estimate: whether to add the disk space and the time that the study needs, timed on this machine.
    """
    status = status_of(study)
    if as_json:
        yield json.dumps(status.as_dict(), indent=2)
        return
    yield show_status(status, every)
    if estimate:
        yield from show_estimate(study)


def show_status(status: Status, every: bool = False) -> str:
    """Return the status as text: counts, a line for each running, failed or stopped cell, and pending cells in groups.

    Args:
        status: the result of `status_of`.
        every: whether each cell has a line.
    """
    lines = [f"Study {status.study}: {status.title}", "", "Datasets:"]
    lines += [f"  {dataset}: {state}" for dataset, state in status.datasets.items()]
    lines += ["", *_section("Cells", status.cells, "epoch", every)]
    if status.robustness:
        lines += ["", *_section("Robustness", status.robustness, "corruption", every)]
    lines += ["", *_times(status.durations), "", "Disk:"]
    lines += [f"  {name}: {size(count)}" for name, count in status.disk.items()]
    return "\n".join([*lines, f"Results: {'collected' if status.collected else 'not collected yet'}"])


def _section(title: str, entries: Sequence[progress.Progress], unit: str, every: bool) -> Iterator[str]:
    counts = _counts(entries)
    summary = ", ".join(f"{counts[state]} {state}" for state in progress.STATES if counts[state])
    yield f"{title}: {len(entries)}: {summary}"
    for state in (progress.RUNNING, progress.FAILED, progress.STOPPED):
        in_state = [entry for entry in entries if entry.state == state]
        shown = in_state if every or state == progress.RUNNING else in_state[:_LISTED_AT_MOST]
        yield from (f"  {_line(entry, unit)}" for entry in shown)
        if len(shown) < len(in_state):
            yield f"  {state}: {len(in_state) - len(shown)} more (--all)"
    if every:
        yield from (f"  {_line(entry, unit)}" for entry in entries if entry.state in (progress.PENDING, progress.DONE))
        return
    yield from (f"  {_line(entry, unit)}" for entry in entries if entry.state == progress.DONE and entry.reason)
    groups = Counter(
        (f"{entry.cell.dataset} {entry.cell.backbone}", entry.reason)
        for entry in entries
        if entry.state == progress.PENDING
    )
    for (name, reason), count in groups.items():
        yield f"  pending: {count} of {name}{f' ({reason})' if reason else ''}"


def _line(entry: progress.Progress, unit: str) -> str:
    steps = f"{unit} {entry.done} of {entry.total}"
    if entry.state == progress.RUNNING:
        assert entry.holder is not None
        since = f" (since {entry.holder.since})" if entry.holder.since else ""
        return f"running: {entry.cell.id}: {entry.holder.process} {entry.reason} it{since}, {steps} done"
    if entry.state == progress.STOPPED:
        return f"stopped: {entry.cell.id} after {steps}; the next run continues from there"
    if entry.state == progress.FAILED:
        return f"failed: {entry.cell.id}: {entry.reason}" + (f" (after {steps})" if entry.done else "")
    if entry.state == progress.DONE and entry.reason:
        return f"done: {entry.cell.id}, but a later try: {entry.reason}"
    return f"{entry.state}: {entry.cell.id}" + (f" ({entry.reason})" if entry.reason else "")


def _counts(entries: Sequence[progress.Progress]) -> dict[str, int]:
    counts = Counter(entry.state for entry in entries)
    return {state: counts[state] for state in progress.STATES}


def _times(durations: Timings) -> Iterator[str]:
    spent = ", ".join(f"{name} {duration(seconds)}" for name, seconds in durations.spent.items() if seconds)
    yield f"Time spent: {spent or 'nothing is done yet'}"
    if not durations.left and not durations.unknown:
        yield "Time left: no training or evaluation is left"
        return
    known = f"about {duration(durations.left)}, one job at a time" if durations.left else "unknown"
    yield f"Time left: {known}"
    for condition, count in durations.unknown.items():
        yield f"  unknown for {count} models or evaluations until {condition}"


def _state_of_dataset(study: Study, dataset: str) -> str:
    folder = dataset_folder(study, dataset)
    if not (folder / "dataset.json").is_file():
        return "not built"
    try:
        card = read_card(folder)
    except (InputError, OSError) as error:
        return f"built, but {error}"
    expected = "" if card["expected_frames"] is None else f" of {card['expected_frames']}"
    return f"{card['frames']}{expected} frames, {size(sum(bytes_below(folder)))}"


def show_estimate(study: Study) -> Iterator[str]:
    """Yield the disk space of the study, and the time of each cell when its model has been timed on this machine."""
    # Imported here, because this module imports torch. Without the estimate, the status does not need these seconds.
    from pipeline.status.estimate import cost_of_cells, timed_models

    yield from _disk_estimate(study)
    models, trainings, device = timed_models(study), trainings_of(study), software()["device"]
    print(f"Models to time on this device ({device}): {len(models)}. On a CPU this takes minutes.", file=sys.stderr)
    yield f"\nTime on this device ({device}), one cell at a time, from steps that were just timed:"
    total = 0.0
    for cost in cost_of_cells(study):
        robustness = f" + {duration(cost.robustness)} robustness" if cost.robustness else ""
        yield f"  {duration(cost.training):>8} {cost.cell.id}{robustness}"
        total += cost.training + cost.robustness
    known = {cell for cells in models.values() for cell in cells}
    unknown = Counter(cell.dataset for cell in trainings if cell not in known)
    yield from (f"  {'unknown':>8} {count} cells of {dataset}, until it is built" for dataset, count in unknown.items())
    at_least = "at least " if unknown else ""
    yield f"  in all {at_least + duration(total) if known else 'unknown'}"
    corrupting = "corrupting images (once per dataset), " if keeps_corrupted(study) else ""
    yield (
        f"  Not included: {corrupting}pretraining, validation, evaluation on clean images, scoring, merging, merged models, loading and "
        "reports."
    )


def _disk_estimate(study: Study) -> Iterator[str]:
    from pipeline.status.estimate import checkpoint_bytes_of, disk_of

    yield "\nEstimated disk of the whole study:"
    total, complete = 0, True
    for dataset in study.datasets:
        built, arrays = disk_of(study, dataset)
        if not built:
            complete = False
            yield f"  {dataset}: unknown until it is built, as is the time of its cells"
            continue
        total += built + arrays
        yield f"  {dataset}: {size(built)} built, {size(arrays)} as arrays of {study.input_size} pixels"
    checkpoints = checkpoint_bytes_of(study)
    yield f"  checkpoints of {len(trainings_of(study))} cells: {size(checkpoints)}"
    yield f"  in all {'' if complete else 'at least '}{size(total + checkpoints)}"
