"""A small long result table with two datasets, three cells, references and corruptions; and a small page."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from reports import page
from reports.page.gallery import condition_key
from reports.results import COLUMNS
from reports.statistics.robustness import CONDITION_COLUMNS, SUMMARY_COLUMNS, Robustness
from reports.statistics.variation import Variation, note_of_intervals

CELLS = [("A-net", "hps", "equal"), ("B_net", "mmoe", "db_mtl"), ("B_net", "single_segmentation", "equal")]


def row(**values: Any) -> dict[str, Any]:
    base = dict.fromkeys(COLUMNS, "")
    base |= {"study": "toy", "seed": 0, "synthetic": True, "eval_split": "test", "severity": 0, "mask_warped": True}
    base |= {"resolution": 84, "protocol": "standard", "surgery": False, "n": 10}
    return base | values


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that were to be saved, with ticks and legends placed. No file is written, which would take most of the time."""
    found: list[Figure] = []

    def keep(figure: Figure, *arguments: object, **settings: object) -> None:
        if figure not in found:
            figure.draw_without_rendering()
            found.append(figure)

    monkeypatch.setattr(Figure, "savefig", keep)
    return found


@pytest.fixture
def results() -> pd.DataFrame:
    rows = []
    for index, (backbone, architecture, weighting) in enumerate(CELLS):
        cell = {"backbone": backbone, "backbone_label": backbone, "architecture": architecture, "weighting": weighting}
        cell["variant"] = "r4-s0"
        metrics = ["accuracy", "macro_f1", "miou"] if architecture != "single_segmentation" else ["miou"]
        for dataset, metric in product(("mtlesd", "mtlendovis"), metrics):
            about = {**cell, "dataset": dataset, "eval_dataset": dataset, "metric": metric}
            rows.append(row(**about, value=0.9 - 0.1 * index))
        rows.append(row(**cell, dataset="mtlesd", eval_dataset="mtlesd", metric="iou", **{"class": "knife"}, value=0.3))
        for corruption, severity, metric in product(("smoke", "contrast"), (1, 2), metrics):
            about = {**cell, "dataset": "mtlesd", "eval_dataset": "mtlesd", "metric": metric}
            rows.append(
                row(**about, corruption=corruption, severity=severity, value=0.8 - 0.2 * severity - 0.1 * index)
            )
        moved = {
            **cell,
            "dataset": "mtlesd",
            "eval_dataset": "mtlesd",
            "metric": "miou",
            "corruption": "elastic_transform",
        }
        rows += [row(**moved, severity=1, mask_warped=warped, value=0.7 if warped else 0.1) for warped in (True, False)]
    reference = {"backbone": "reference", "backbone_label": "reference", "architecture": "majority_activity"}
    rows.append(row(**reference, dataset="mtlesd", eval_dataset="mtlesd", metric="accuracy", value=0.99))
    return pd.DataFrame(rows, columns=list(COLUMNS))


# Names as bad as they can be.
ODD = """B <i>net</i> & "co" '</script>"""
MODELS = ("A-net HPS", ODD)
CONDITIONS = [("", 0), *product(("gaussian_noise", "smoke", "elastic_transform"), (1, 5))]


@pytest.fixture
def robustness() -> Robustness:
    """Two models under three corruptions and two severities; the second model gives no masks."""
    rows, sums = [], []
    for index, model in enumerate(MODELS):
        metrics = {"accuracy": 1.0, "miou": 1.0, "hd95": 30.0} if index == 0 else {"accuracy": 1.0}
        for metric, scale in metrics.items():
            for corruption, severity in CONDITIONS:
                value = (0.9 - 0.1 * index - 0.1 * severity) * scale
                rows.append(
                    ("Toy", model, corruption, severity, True, metric, value, value - 0.05, value + 0.05, "4 images")
                )
                if corruption == "elastic_transform" and metric != "accuracy":
                    rows.append(("Toy", model, corruption, severity, False, metric, 0.1, 0.05, 0.15, "4 images"))
            if metric != "hd95":
                mean = {severity: 0.9 - 0.1 * index - 0.1 * severity for severity in (1, 5)}
                tail = [np.nan, np.nan, np.nan, "", "4 images"]
                sums += [
                    ("Toy", model, metric, "severity_mean", str(s), v, v - 0.02, v + 0.02, *tail)
                    for s, v in mean.items()
                ]
    categories = {"noise": ("gaussian_noise",), "digital": ("smoke", "elastic_transform")}
    conditions = pd.DataFrame(rows, columns=CONDITION_COLUMNS)
    return Robustness(
        conditions,
        pd.DataFrame(sums, columns=SUMMARY_COLUMNS),
        categories,
        (note_of_intervals("Toy", "4 sequences", Variation(4), True),),
        (),
    )


@pytest.fixture
def page_gallery() -> page.Gallery:
    """Two images of the two models, under the same conditions as `robustness`."""
    rng, pictures = np.random.default_rng(0), page.Pictures()
    palette = [(0, 0, 0), (255, 0, 0), (0, 0, 255)]
    keys = [condition_key(*condition) for condition in CONDITIONS]
    truths = [pictures.add_mask(rng.integers(0, 3, (24, 24), np.uint8), palette) for _ in range(2)]
    images = [
        page.GalleryImage(
            f"frame_{i}",
            ("idle", "cutting")[i],
            {key: (pictures.add_image(rng.integers(0, 256, (24, 24, 3), np.uint8)), truths[i]) for key in keys},
        )
        for i in range(2)
    ]
    masks = {
        key: [pictures.add_mask(rng.integers(0, 3, (24, 24), np.uint8), palette) for _ in range(2)] for key in keys
    }
    answers = {
        key: [{"activity": "idle", "miou": 0.01 * n, "dice": 0.02 * n, "hd95": 1.5}] * 2 for n, key in enumerate(keys)
    }
    models = [
        page.GalleryModel(MODELS[0], "toy/a", 1, masks, answers),
        page.GalleryModel(MODELS[1], "toy/b", 1, {}, {key: [{"activity": "cutting"}] * 2 for key in keys}),
    ]
    dataset = page.GalleryDataset("Toy", [("x <&> y", "#ff0000"), ("y", "#0000ff")], (1, 5), images, models)
    return page.Gallery([dataset], pictures, [("toy/c", "not trained yet")])


@pytest.fixture
def page_content(robustness: Robustness, page_gallery: page.Gallery, tmp_path: Path) -> page.Page:
    """A page with every section."""
    index = pd.MultiIndex.from_tuples(
        [("A-net", "HPS"), ("A-net", "MMoE"), (ODD, "HPS"), ("C-net", "HPS"), ("Reference", "Majority")],
        names=["Backbone", "Architecture"],
    )
    scores = pd.DataFrame(
        {
            "Accuracy (%)": [9.5, 80.123, 100.0, np.nan, 99.0],
            "HD95 (px)": [3.0, 20.0, 1.0, 2.0, np.nan],
            "mPC": ["12.3 [10.0, 14.1]", "-", "9.1 [8.0, 10.0]", "100.0 [1.0, 1.0]", "-"],
        },
        index=index,
    )
    heads = pd.MultiIndex.from_product([["AC (%)", "F (%)"], ["ours", "paper", "difference"]])
    deep = pd.DataFrame(
        np.arange(24.0).reshape(4, 6), columns=heads, index=pd.Index(["a", "b", "c", "d"], name="Model")
    )
    wide = pd.DataFrame(
        {f"A long head of column {i}": [i, -i] for i in range(30)}, index=pd.Index(["p", "q"], name="Name")
    )
    facts = page.Facts(
        f"Toy {ODD}", "toy", "standard", [0, 1], 3, 84, True, "SYNTHETIC DATA. Study toy.", "PARTIAL DATA (Toy)."
    )
    missing = tmp_path / "not_drawn.png"
    classes = pd.DataFrame({"Train": [3, 4], "Test": [1, 0]}, index=pd.Index(["x", "y"], name="Class"))
    return page.Page(
        facts=facts,
        gaps=[page.Gap("toy/c", "C-net on Toy", "results", f"training failed: {ODD}")],
        tables=[
            page.TableSection("scores", "Scores", "Scores", "A note & more.", scores, best=True, apart=[4]),
            page.TableSection("deep", "Compared", "Compared with the paper's", "", deep, of_paper=[1, 4]),
            page.TableSection("broad", "Broad", "A broad table", "", wide),
        ],
        scores=page.scores_of(robustness),
        gallery=page_gallery,
        figures=[page.FigureSection("not_drawn", "Figure", "A figure", missing)],
        datasets=[page.DatasetCard("dataset_toy", ODD, [("Frames", "8")], [("x", "#ff0000")], [("Classes", classes)])],
        provenance=[page.TableSection("trainings", "Trainings", "Trainings", "", classes)],
    )
