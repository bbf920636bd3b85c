"""The output of `endoarss status`: progress, time and disk of a study, and what is left. Imports no torch."""

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

_LISTED = 20  # failed or stopped cells that get a line each without --all
_CHECKPOINT = ".safetensors"


@dataclass(frozen=True)
class Status:
    """The content of `endoarss status`. datasets: the state of each in words. disk: bytes by kind of file."""

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
            "counts": {name: _counts(which) for name, which in groups.items()},
            **{name: [one.as_dict() for one in which] for name, which in groups.items()},
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
        {dataset: _about_dataset(study, dataset) for dataset in study.datasets},
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
        every: give each cell a line.
        as_json: JSON instead of words, without an estimate.
        estimate: add disk and hours that the study takes, timed on this machine.
    """
    status = status_of(study)
    if as_json:
        return json.dumps(status.as_dict(), indent=2)
    return "\n\n".join([show_status(status, every), *([show_estimate(study)] if estimate else [])])


def show_status(status: Status, every: bool = False) -> str:
    """Return the status as text: counts, a line for each running or failed cell, and the rest in groups.

    Args:
        status: a result of `status_of`.
        every: whether each cell gets a line.
    """
    lines = [f"Study {status.study}: {status.title}", "", "Datasets:"]
    lines += [f"  {dataset}: {state}" for dataset, state in status.datasets.items()]
    lines += ["", *_section("Cells", status.cells, "epoch", every)]
    if status.robustness:
        lines += ["", *_section("Robustness", status.robustness, "corruption", every)]
    lines += ["", *_times(status.durations), "", "Disk:"]
    lines += [f"  {name}: {size(count)}" for name, count in status.disk.items()]
    return "\n".join([*lines, f"Results: {'collected' if status.collected else 'not collected yet'}"])


def _section(title: str, which: Sequence[progress.Progress], unit: str, every: bool) -> Iterator[str]:
    counts = _counts(which)
    summary = ", ".join(f"{counts[state]} {state}" for state in progress.STATES if counts[state])
    yield f"{title}: {len(which)}: {summary}"
    for state in (progress.RUNNING, progress.FAILED, progress.STOPPED):
        found = [one for one in which if one.state == state]
        shown = found if every or state == progress.RUNNING else found[:_LISTED]
        yield from (f"  {_line(one, unit)}" for one in shown)
        if len(shown) < len(found):
            yield f"  {state}: {len(found) - len(shown)} more (--all)"
    if every:
        yield from (f"  {_line(one, unit)}" for one in which if one.state in (progress.PENDING, progress.DONE))
        return
    yield from (f"  {_line(one, unit)}" for one in which if one.state == progress.DONE and one.reason)
    groups = Counter(
        (f"{one.cell.dataset} {one.cell.backbone}", one.reason) for one in which if one.state == progress.PENDING
    )
    for (name, reason), count in groups.items():
        yield f"  pending: {count} of {name}{f' ({reason})' if reason else ''}"


def _line(one: progress.Progress, unit: str) -> str:
    far = f"{unit} {one.done} of {one.total}"
    if one.state == progress.RUNNING:
        assert one.holder is not None
        since = f" (since {one.holder.since})" if one.holder.since else ""
        return f"running: {one.cell.id}: {one.holder.process} {one.reason} it{since}, {far} done"
    if one.state == progress.STOPPED:
        return f"stopped: {one.cell.id} after {far}; the next run continues from there"
    if one.state == progress.FAILED:
        return f"failed: {one.cell.id}: {one.reason}" + (f" (after {far})" if one.done else "")
    if one.state == progress.DONE and one.reason:
        return f"done: {one.cell.id}, but a later try: {one.reason}"
    return f"{one.state}: {one.cell.id}" + (f" ({one.reason})" if one.reason else "")


def _counts(which: Sequence[progress.Progress]) -> dict[str, int]:
    found = Counter(one.state for one in which)
    return {state: found[state] for state in progress.STATES}


def _times(durations: Timings) -> Iterator[str]:
    spent = ", ".join(f"{name} {duration(seconds)}" for name, seconds in durations.spent.items() if seconds)
    yield f"Time spent: {spent or 'nothing is done yet'}"
    if not durations.left and not durations.unknown:
        yield "Time left: no training or evaluation is left"
        return
    known = f"about {duration(durations.left)}, one job at a time" if durations.left else "unknown"
    yield f"Time left: {known}"
    for until, count in durations.unknown.items():
        yield f"  unknown for {count} until {until}"


def _about_dataset(study: Study, dataset: str) -> str:
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
    # Imports torch, which the status without estimate does not need.
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
    lines.append(f"Hours on this device ({software()['device']}), one cell at a time, from steps timed just now:")
    for cost in costs:
        robustness = f" + {cost.robustness_hours:.2f} robustness" if cost.robustness_hours else ""
        lines.append(f"  {cost.training_hours:8.2f} {cost.cell.id}{robustness}")
    hours = sum(cost.training_hours + cost.robustness_hours for cost in costs)
    return "\n".join([*lines, f"  {hours:8.2f} in all (without corrupting images, loading and reports)"])
