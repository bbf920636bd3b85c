"""Write the output of `endoarss status`: progress, time and disk space. Only the estimate imports torch."""

from __future__ import annotations

import json
import shutil
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
from pipeline.study.folders import dataset_folder, results_folder
from pipeline.study.models import Study

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


def show_status_of(study: Study, every: bool, as_json: bool, estimate: bool) -> str:
    """Return the status of a study in words, or as JSON.

    Args:
        study: the study.
        every: whether each cell has a line.
        as_json: whether to return JSON, which has no estimate.
        estimate: whether to add disk space and hours that the study needs, timed on this machine.
    """
    status = status_of(study)
    if as_json:
        return json.dumps(status.as_dict(), indent=2)
    return "\n\n".join([show_status(status, every), *([show_estimate(study)] if estimate else [])])


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


def show_estimate(study: Study) -> str:
    """Return the disk space and hours that the study needs, timed on this machine."""
    # Imported here, because this module imports torch. Without the estimate, the status does not need these seconds.
    from pipeline.status.estimate import cost_of_cells, disk_of

    lines, total = ["Disk:"], 0
    for dataset in study.datasets:
        built, arrays = disk_of(study, dataset)
        if not built:
            lines.append(f"  {dataset}: unknown until it is built, as are the hours of its cells")
            continue
        total += built + arrays
        lines.append(f"  {dataset}: {size(built)} built, {size(arrays)} as arrays of {study.input_size} pixels")
    costs = list(cost_of_cells(study))
    checkpoints = sum(cost.checkpoint_bytes for cost in costs)
    lines += [f"  checkpoints of {len(costs)} cells: {size(checkpoints)}", f"  in all {size(total + checkpoints)}", ""]
    lines.append(f"Hours on this device ({software()['device']}), one cell at a time, from steps that were just timed:")
    for cost in costs:
        robustness = f" + {cost.robustness_hours:.2f} robustness" if cost.robustness_hours else ""
        lines.append(f"  {cost.training_hours:8.2f} {cost.cell.id}{robustness}")
    hours = sum(cost.training_hours + cost.robustness_hours for cost in costs)
    return "\n".join([*lines, f"  {hours:8.2f} in all (without corrupting images, loading and reports)"])
