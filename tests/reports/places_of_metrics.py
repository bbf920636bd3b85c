"""Print, as JSON, the names of metrics that each table, comparison, figure and page shows of a made-up study; a test runs it in a copy."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from endoarss.metrics import Evaluator
from pipeline.reporting.make_page import _glance
from pipeline.reporting.page_gallery import _scores_of_images
from reports.figures import cost as cost_figure
from reports.figures import heatmap as heatmap_figure
from reports.figures import robustness as robustness_figures
from reports.page import scores_of
from reports.page.tables import to_html
from reports.results import COLUMNS
from reports.statistics.comparison import compare
from reports.statistics.condition_scores import EvaluatedModel
from reports.statistics.merging import (
    INDIVIDUAL,
    ComparedModel,
    MergingCase,
    measure_merging,
    readable_merging,
    table_merging,
)
from reports.statistics.robustness import measure_robustness
from reports.tables import robustness as robustness_tables
from reports.tables import scores as tables
from reports.tables.comparison import readable_comparison, table_comparison, table_pairs
from reports.tables.latex import to_latex

CLASSES, ACTIVITIES = ("background", "shaft", "jaw"), ("cut", "idle")
CONDITIONS = {("", 0): 0.9, ("smoke", 1): 0.8, ("smoke", 5): 0.5}
CATEGORIES = {"digital": ("smoke",)}


def measured(seed: int, quality: float) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Rows of ten images under all conditions, and the scores of the clean ones."""
    truths, frames, scores = np.random.default_rng(0), [], []
    truth, activity = truths.integers(0, 3, (10, 16, 16), np.uint8), truths.integers(0, 2, 10)
    for (corruption, severity), share in CONDITIONS.items():
        random, evaluator = np.random.default_rng(seed), Evaluator(CLASSES, ACTIVITIES)
        for true, label in zip(truth, activity, strict=True):
            told = np.where(
                random.random(true.shape) < quality * share, true, random.integers(0, 3, true.shape, np.uint8)
            )
            right = random.random() < quality * share
            evaluator.add(mask=(true, told.astype(np.uint8)), activity=(int(label), int(label if right else 1 - label)))
        rows = pd.DataFrame(evaluator.rows).assign(corruption=corruption, severity=severity, mask_warped=True)
        frames.append(rows.assign(frame_id=[f"f{i}" for i in range(len(rows))], sequence=""))
        scores = scores or evaluator.scores()
    return pd.concat(frames, ignore_index=True), scores


def long_table(scores: dict[str, list[dict[str, Any]]]) -> pd.DataFrame:
    """The results of models on two datasets, whose scores are the same."""
    about = dict.fromkeys(COLUMNS, "") | {"protocol": "standard", "architecture": "hps", "variant": "r4-s0", "seed": 0}
    rows = [
        about | {"backbone": name, "backbone_label": name, "dataset": dataset, "eval_dataset": dataset} | score
        for dataset in ("one", "two")
        for name, own in scores.items()
        for score in own
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def texts(draw: Callable[..., None], *args: object) -> list[str]:
    """What a figure says at its axes."""
    found: list[str] = []

    def read(figure: Figure, png: Path, pdf: Path) -> None:
        del png, pdf
        found.extend(t.get_text() for t in figure.texts)
        for axes in figure.axes:
            found.extend([axes.get_ylabel(), axes.get_title(loc="left")])

    module = sys.modules[draw.__module__]
    module.save_figure = read  # type: ignore[attr-defined]
    draw(*args, "mark", Path("a.png"), Path("a.pdf"))
    return found


def heads(table: pd.DataFrame) -> list[str]:
    """All names that a table has in heads, index and texts."""
    return table.reset_index().to_csv().replace(",", " ").split()


def places() -> dict[str, list[str]]:
    """By place the names of metrics in it, among others."""
    made = {name: measured(i, quality) for i, (name, quality) in enumerate({"A": 0.9, "B": 0.6}.items())}
    rows = {name: of_rows for name, (of_rows, _) in made.items()}
    results = long_table({name: scores for name, (_, scores) in made.items()})
    scores = tables.table_of_scores(results, "one", ["A", "B"])
    shown = tables.readable_scores(scores, "standard")
    chosen = tables.table_of_rows(results, [tables.Row(("A",), "one", "A", "hps", "", 4)], ["Model"])
    leakage = tables.table_leakage(results, "one", "two", ["A", "B"])
    robust = measure_robustness([EvaluatedModel(n, "Toy", [r]) for n, r in rows.items()], CATEGORIES, {"Toy": "B"})
    clean = {name: of_rows[of_rows["corruption"] == ""] for name, of_rows in rows.items()}
    compared = compare([EvaluatedModel(name, "Toy", [own]) for name, own in clean.items()])
    whole = dict(iter(results[results["class"] == ""].groupby("backbone")))
    values = {name: {m: list(v) for m, v in own.groupby("metric")["value"]} for name, own in whole.items()}
    subjects = [
        ComparedModel(label, merger, 0, EvaluatedModel(label, "Toy", [clean[name]]), None, values[name])
        for label, merger, name in ((INDIVIDUAL, "", "A"), ("TIES", "ties", "B"))
    ]
    biased = [
        subject.__class__(**{**vars(subject), "bias": {"activity": [0.1], "segmentation": [0.1]}})
        for subject in subjects
    ]
    merging = measure_merging([MergingCase("Toy", "V", biased)])
    seven = robustness_tables.table_robustness(robust.summary, robust.categories)
    costs = {
        "dataset": "Toy",
        "architecture": "hps",
        "rank": 4,
        "parameters": 9e6,
        "images_per_second": 9.0,
        "device": "CPU",
    }
    own = {name: {m: v[0] for m, v in of.items()} for name, of in values.items()}
    cost = pd.DataFrame([costs | {"backbone": n} | of for n, of in own.items()], columns=cost_figure.COLUMNS)
    image = _scores_of_images(clean["A"], len(CLASSES))[0]
    return {
        "results": list(results["metric"]),
        "table of a dataset": list(scores),
        "table of a dataset, printed": list(shown),
        "LaTeX": [line for line in to_latex(shown, "c", "l", highlight=True).splitlines() if "IoU" in line],
        "table of the page": to_html(shown, "c", best=True).split(">"),
        "ablation and ranks": list(tables.readable_rows(chosen, "standard")),
        "classes": list(tables.table_of_labels(results, of_activities=False)),
        "leakage": [head for head, _ in tables.readable_leakage(leakage)],
        "comparison": heads(table_comparison(compared.scores)),
        "comparison, printed": [head for head, _ in readable_comparison(compared.scores)],
        "pairs": heads(table_pairs(compared.pairs)),
        "best models": list(_glance(table_comparison(compared.scores))),
        "merging": list(table_merging(merging, 16)),
        "merging, printed": list(readable_merging(merging, 16)),
        "table 7": heads(seven),
        "table 7, printed": [head for head, _, _ in robustness_tables.readable_robustness(seven)],
        "summary": heads(robustness_tables.table_robustness_summary(robust.summary)),
        "summary, printed": heads(robustness_tables.readable_robustness_summary(robust.summary)),
        "conditions": heads(robustness_tables.table_robustness_conditions(robust.conditions)),
        "curves": list(scores_of(robust).content["metrics"]),
        "gallery": list(image),
        "figure 6": texts(robustness_figures.draw_severity, robust.summary),
        "retention": texts(robustness_figures.draw_retention, robust.summary),
        "heat map": texts(heatmap_figure.draw_heatmap, robust.summary, robust.categories),
        "cost": texts(cost_figure.draw_cost, cost),
    }


if __name__ == "__main__":
    print(json.dumps(places()))
