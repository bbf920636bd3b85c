"""Compare the deviation of clean scores between a study's models with the deviation between seeds of one model.

    python -m benchmarks.seeds --study studies/demo.yaml --seeds 0 1 2

Missing trainings and scores are computed first, in one process. The table is Markdown, as in docs/demo.md.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from pipeline.errors import InputError
from pipeline.evaluation.evaluate_cell import evaluate_cell
from pipeline.io.files import read_json
from pipeline.results.paths import CellOutput, reference_folder
from pipeline.study.cell import Cell
from pipeline.study.cells import cells_of
from pipeline.study.folders import cell_folder
from pipeline.study.loading import load_study
from pipeline.study.models import Study
from pipeline.training.train_cell import train_cell

METRICS = ("accuracy", "miou", "miou_foreground")
Scores = dict[tuple[str, str], dict[str, list[float]]]  # by dataset and model: one value per seed for each metric


def main(arguments: Sequence[str] | None = None) -> None:
    """Compute missing trainings and scores, and print the table of every dataset."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, default=Path("studies/demo.yaml"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--datasets", nargs="+", help="the training datasets (default: all of the study)")
    options = parser.parse_args(arguments)
    study = load_study(options.study).model_copy(update={"seeds": options.seeds})
    cells = [cell for cell in cells_of(study) if not options.datasets or cell.dataset in options.datasets]
    scores: Scores = defaultdict(lambda: defaultdict(list))
    for cell in cells:
        for dataset, values in scores_of(study, cell).items():
            for metric in METRICS:
                if metric in values:
                    scores[dataset, model_name(study, cell)][metric].append(100 * values[metric])
    majorities = {dataset: majority(study, dataset) for dataset, _ in scores}
    data = "synthetic scenes" if study.synthetic else "real images"
    print(f"{data}, seeds {', '.join(map(str, options.seeds))}: mean ± standard deviation over seeds, in percent\n")
    print("\n".join(table_of(scores, majorities)))


def scores_of(study: Study, cell: Cell) -> dict[str, dict[str, float]]:
    """Return the clean scores of a cell by dataset. Train and evaluate a cell without scores first."""
    path = cell_folder(study, cell) / CellOutput.METRICS
    if not path.is_file():
        train_cell(study, cell)
        evaluate_cell(study, cell)
    scores: dict[str, dict[str, float]] = read_json(path)
    return scores


def majority(study: Study, dataset: str) -> dict[str, list[float]]:
    """Return the accuracy of the most frequent training activity, or nothing if the reference was not computed."""
    path = reference_folder(study, dataset) / "majority_activity.parquet"
    if not path.is_file():
        return {}
    rows = pd.read_parquet(path)
    return {"accuracy": [100 * float((rows["activity_true"] == rows["activity_predicted"]).mean())]}


def model_name(study: Study, cell: Cell) -> str:
    """Return the name of a cell's model in the table, without its seed."""
    return f"{study.backbones[cell.backbone].label}, {cell.architecture}, {cell.weighting}, rank {cell.rank}"


def table_of(scores: Scores, majorities: Mapping[str, dict[str, list[float]]]) -> list[str]:
    """Return the lines of a Markdown table with one row per model, and for each dataset the deviation between models and between seeds.

    Args:
        scores: the scores of the models.
        majorities: by dataset, the accuracy of the most frequent activity.
    """
    lines = [f"| dataset | model | {' | '.join(METRICS)} |", "|---" * (2 + len(METRICS)) + "|"]
    for dataset in dict.fromkeys(dataset for dataset, _ in scores):
        models = {model: values for (name, model), values in scores.items() if name == dataset}
        for model, values in [*models.items(), ("commonest activity", majorities.get(dataset, {}))]:
            shown = [shown_as(values.get(metric, [])) for metric in METRICS]
            lines.append(f"| {dataset} | {model} | {' | '.join(shown)} |")
        of_metric = [[values[m] for values in models.values() if m in values] for m in METRICS]
        between = [f"**{deviation([statistics.mean(v) for v in by_model]):.1f}**" for by_model in of_metric]
        within = [f"**{mean_of([deviation(v) for v in by_model]):.1f}**" for by_model in of_metric]
        lines.append(f"| {dataset} | **deviation between models** | {' | '.join(between)} |")
        lines.append(f"| {dataset} | **mean deviation over seeds** | {' | '.join(within)} |")
    return lines


def shown_as(values: Sequence[float]) -> str:
    """Return mean and deviation as text. A single value has no deviation, and without values the text is empty."""
    if len(values) < 2:
        return "".join(f"{value:.1f}" for value in values)
    return f"{statistics.mean(values):.1f} ± {deviation(values):.1f}"


def mean_of(values: Sequence[float]) -> float:
    """Return the mean, or 0 without values."""
    return statistics.mean(values) if values else 0.0


def deviation(values: Sequence[float]) -> float:
    """Return the sample standard deviation, or 0 for a single value."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(str(error))
