"""The time that a study took, and an estimate of the rest from its finished cells."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.datasets.card import read_card
from pipeline.errors import InputError
from pipeline.io.files import read_json
from pipeline.results.paths import CellOutput, StudyOutput, robustness_files
from pipeline.status.progress import DONE, Progress
from pipeline.study.cell import Cell
from pipeline.study.folders import cell_folder, dataset_folder, results_folder
from pipeline.study.models import Study

# Rules about models; their times are listed by cell.
_MODEL_RULES = ("train_cell", "evaluate_robustness", "merge_models", "evaluate_merged_robustness")


@dataclass(frozen=True)
class Timings:
    """Times in seconds.

    Attributes:
        spent: time spent, by kind of step.
        left: time left of cells whose duration is known, one job at a time.
        unknown: number of cells whose duration is unknown, by what must be done first.
    """

    spent: Mapping[str, float]
    left: float
    unknown: Mapping[str, int]

    def as_dict(self) -> dict[str, Any]:
        """Return the values as JSON data."""
        spent = {name: round(seconds, 1) for name, seconds in self.spent.items()}
        return {"spent": spent, "left": round(self.left, 1), "unknown": dict(self.unknown)}


def timings_of(study: Study, cells: Mapping[Cell, Progress], robustness: Mapping[Cell, Progress]) -> Timings:
    """Return the time spent and the time left.

    A training takes as long as the done ones of its backbone and architecture, with the same weighting where there is one, for each
    epoch and training image; a robustness evaluation as theirs for each test image.
    """
    frames = {dataset: _frames(study, dataset) for dataset in study.datasets}
    trained = {cell: _seconds_of_training(study, cell) for cell, one in cells.items() if one.state == DONE}
    tested = {cell: _seconds_of_robustness(study, cell) for cell, one in robustness.items() if one.state == DONE}
    unknown: Counter[str] = Counter()
    left = 0.0
    for part, progress, took, until in (
        ("train", cells, trained, "a cell of {} {} is done"),
        ("test", robustness, tested, "the robustness of a cell of {} {} is evaluated"),
    ):
        rates: dict[tuple[str, ...], list[float]] = defaultdict(list)
        for cell, seconds in took.items():
            size = progress[cell].total * frames[cell.dataset].get(part, 0)
            for key in _alike(cell) if seconds and size else ():
                rates[key].append(seconds / size)
        for cell, one in progress.items():
            size = (one.total - one.done) * frames[cell.dataset].get(part, 0)
            rate = next((statistics.median(rates[key]) for key in _alike(cell) if key in rates), None)
            if one.state == DONE or one.done == one.total:
                continue
            if not size:
                unknown[f"{cell.dataset} is built"] += 1
            elif rate is None:
                unknown[until.format(cell.backbone, cell.architecture)] += 1
            else:
                left += size * rate
    spent = {"training": sum(trained.values(), 0.0), "robustness": sum(tested.values(), 0.0)}
    folder = results_folder(study) / StudyOutput.BENCHMARKS
    own = [folder / name for name in _MODEL_RULES]
    others = [path for path in folder.rglob("*.tsv") if not any(path.is_relative_to(rule) for rule in own)]
    spent["other steps"] = sum(map(seconds_of_benchmark, others))
    return Timings(spent, left, unknown)


def _alike(cell: Cell) -> tuple[tuple[str, ...], ...]:
    """Return keys of a training; trainings with more equal keys take more similar times per epoch and image."""
    model = (cell.backbone, cell.architecture)
    return (*model, cell.weighting), model


def seconds_of_benchmark(path: Path) -> float:
    """Return the seconds in a benchmark file of Snakemake; 0 if there is none or it is not valid."""
    try:
        head, row, *_ = path.read_text(encoding="utf-8").splitlines()
        seconds = float(dict(zip(head.split("\t"), row.split("\t"), strict=False))["s"])
    except (OSError, ValueError, LookupError):
        return 0.0
    return seconds if math.isfinite(seconds) and seconds > 0 else 0.0


def _benchmark(study: Study, rule: str, cell: Cell) -> float:
    return seconds_of_benchmark(results_folder(study) / StudyOutput.BENCHMARKS / rule / f"{cell.id}.tsv")


def _seconds_in(path: Path, key: str = "seconds") -> float:
    """Return the seconds per model in a provenance file; 0 if it has none."""
    try:
        about = read_json(path)
        seconds = float(about.get(key, 0)) / max(1, int(about.get("models_together", 1)))
    except (OSError, ValueError, TypeError, InputError, RecursionError):
        return 0.0
    return seconds if math.isfinite(seconds) else 0.0


def _seconds_of_training(study: Study, cell: Cell) -> float:
    """Return the seconds of the whole job if Snakemake ran it, else those that the step recorded since it last started."""
    path = cell_folder(study, cell) / CellOutput.PROVENANCE
    if cell.merger:  # one job merges many models, and each records its own share
        return _seconds_in(path, "training_seconds")
    return max(_seconds_in(path), _benchmark(study, "train_cell", cell))


def _seconds_of_robustness(study: Study, cell: Cell) -> float:
    """Return the seconds that Snakemake measured for one cell; a command by hand may have evaluated several at once."""
    told = _seconds_in(robustness_files(study, cell).provenance)
    return _benchmark(study, "evaluate_robustness", cell) or told


def _frames(study: Study, dataset: str) -> dict[str, int]:
    try:
        found = read_card(dataset_folder(study, dataset))["frames_by_split"]
        return {str(part): int(count) for part, count in found.items()}
    except (InputError, OSError, ValueError, TypeError, AttributeError):
        return {}


def duration(seconds: float) -> str:
    """Return a duration in seconds as text."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"
