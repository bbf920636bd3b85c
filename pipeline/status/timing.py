"""Add up the time that a study has taken, and estimate the time left from its finished cells."""

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

# Rules whose times are counted per cell; all others are "other steps".
_MODEL_RULES = ("train_cell", "evaluate_robustness", "merge_models", "evaluate_merged_robustness")


@dataclass(frozen=True)
class Timings:
    """Times in seconds.

    Attributes:
        spent: time spent, by kind of step.
        left: time left, one job at a time, of cells whose duration can be estimated.
        unknown: number of the other cells, by the condition under which an estimate will be possible.
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

    A training is estimated from finished trainings with the same backbone, architecture and weighting, or else with the same backbone and
    architecture: the median of their seconds per epoch and training image. A robustness evaluation is estimated likewise, per corruption
    and test image.
    """
    frames = {dataset: _frames(study, dataset) for dataset in study.datasets}
    trained = {cell: _seconds_of_training(study, cell) for cell, entry in cells.items() if entry.state == DONE}
    tested = {cell: _seconds_of_robustness(study, cell) for cell, entry in robustness.items() if entry.state == DONE}
    unknown: Counter[str] = Counter()
    left = 0.0
    for split, progress, durations, condition in (
        ("train", cells, trained, "a cell of {} {} is done"),
        ("test", robustness, tested, "the robustness of a cell of {} {} is evaluated"),
    ):
        rates: dict[tuple[str, ...], list[float]] = defaultdict(list)
        for cell, seconds in durations.items():
            size = progress[cell].total * frames[cell.dataset].get(split, 0)
            for key in _similar_keys(cell) if seconds and size else ():
                rates[key].append(seconds / size)
        for cell, entry in progress.items():
            size = (entry.total - entry.done) * frames[cell.dataset].get(split, 0)
            rate = next((statistics.median(rates[key]) for key in _similar_keys(cell) if key in rates), None)
            if entry.state == DONE or entry.done == entry.total:
                continue
            if not size:
                unknown[f"{cell.dataset} is built"] += 1
            elif rate is None:
                unknown[condition.format(cell.backbone, cell.architecture)] += 1
            else:
                left += size * rate
    spent = {"training": sum(trained.values(), 0.0), "robustness": sum(tested.values(), 0.0)}
    folder = results_folder(study) / StudyOutput.BENCHMARKS
    of_models = [folder / name for name in _MODEL_RULES]
    others = [path for path in folder.rglob("*.tsv") if not any(path.is_relative_to(rule) for rule in of_models)]
    spent["other steps"] = sum(map(seconds_of_benchmark, others))
    return Timings(spent, left, unknown)


def _similar_keys(cell: Cell) -> tuple[tuple[str, ...], ...]:
    """Return the keys under which cells of similar duration are grouped, the most similar group first."""
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
    """Return the seconds per model that a provenance file records; 0 if it records none."""
    try:
        provenance = read_json(path)
        seconds = float(provenance.get(key, 0)) / max(1, int(provenance.get("models_together", 1)))
    except (OSError, ValueError, TypeError, InputError, RecursionError):
        return 0.0
    return seconds if math.isfinite(seconds) else 0.0


def _seconds_of_training(study: Study, cell: Cell) -> float:
    """Return the seconds of Snakemake's job, or those in provenance (since the last start of the training) if they are more."""
    path = cell_folder(study, cell) / CellOutput.PROVENANCE
    if cell.merger:  # one job merges many models; the provenance of each has its own seconds
        return _seconds_in(path, "training_seconds")
    return max(_seconds_in(path), _benchmark(study, "train_cell", cell))


def _seconds_of_robustness(study: Study, cell: Cell) -> float:
    """Return the seconds of Snakemake's job for the cell, or, if a command by hand evaluated it, its share in provenance."""
    recorded = _seconds_in(robustness_files(study, cell).provenance)
    return _benchmark(study, "evaluate_robustness", cell) or recorded


def _frames(study: Study, dataset: str) -> dict[str, int]:
    try:
        counts = read_card(dataset_folder(study, dataset))["frames_by_split"]
        return {str(split): int(count) for split, count in counts.items()}
    except (InputError, OSError, ValueError, TypeError, AttributeError):
        return {}


def duration(seconds: float) -> str:
    """Return a duration in seconds as text."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"
