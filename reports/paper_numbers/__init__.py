"""Reads the numbers of the paper, as printed: shares are in percent, and "HD" is the distance that the authors' code computes."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from endoarss.metrics.catalogue import ACCURACY_SPREAD, MACRO_F1, MAIN, MIOU_SPREAD
from reports.names import PAPER_ROBUST_MODELS, table_of_dataset

_FOLDER = Path(__file__).parent
_BACKBONES = {"ResNet101": "resnet", "DINOv2": "dinov2", "EndoARSS": "endoarss"}
_ARCHITECTURES = {"MMoE": "mmoe", "DSelect-k": "dselect_k", "TESLA": "tesla"}
_SINGLE = {"classification_only": "single_activity", "segmentation_only": "single_segmentation"}
_WEIGHTINGS = {"MoCo": "moco", "Aligned-MTL": "aligned_mtl", "STCH": "stch", "DB-MTL": "db_mtl"}
# Names of the datasets in Tables V and VI.
DATASETS = {"mtlesd": "MTLESD", "mtlendovis": "MTLEndovis"}
_ROBUST_COLUMNS = dict(zip(PAPER_ROBUST_MODELS, ("resnet101_dselect_k", "resnet101_mmoe", "endoarss"), strict=True))
# Names of metrics in this project, by their column in the paper's tables.
_METRIC_OF_COLUMN = {"f_score": MACRO_F1, "accuracy_std": ACCURACY_SPREAD, "miou_std": MIOU_SPREAD}
KEY = ["backbone", "architecture", "weighting"]


def paper_datasets() -> pd.DataFrame:
    """Return Table I: activities, classes, train, test and frames by dataset."""
    return pd.read_csv(_FOLDER / "table1_datasets.csv").set_index("dataset")


def paper_scores(dataset: str) -> pd.DataFrame | None:
    """Return Table II, III or IV: accuracy, macro_f1, miou, dice, hd and ssim by backbone, architecture and weighting.

    Metrics and components have their names in this project. Return None for a dataset that is not in the paper.
    """
    path = _FOLDER / f"{table_of_dataset(dataset)}.csv"
    if not path.is_file():
        return None
    table = pd.read_csv(path).rename(columns=_METRIC_OF_COLUMN)
    single = table["architecture"] == "single_task"
    table["architecture"] = table["weighting"].where(single, table["architecture"]).replace(_SINGLE | _ARCHITECTURES)
    table["weighting"] = table["weighting"].mask(single, "equal").replace(_WEIGHTINGS)
    table["backbone"] = table["backbone"].replace(_BACKBONES)
    return table.set_index(KEY)


def paper_ablation() -> pd.DataFrame:
    """Return Table V: scores by dataset, backbone, architecture and weighting; accuracy_spread and miou_spread are the "±" of the table.

    The paper's caption names DB-MTL for all rows, but the rows with SMA on MTLEndovis are those of Table III with STCH.
    """
    table = pd.read_csv(_FOLDER / "table5_ablation.csv")
    table = table.rename(columns=_METRIC_OF_COLUMN)
    table["dataset"] = table["dataset"].replace({title: name for name, title in DATASETS.items()})
    table["backbone"] = table["dinov2"].map({0: "resnet", 1: "dinov2"}).mask(table["sma"] == 1, "endoarss")
    table["architecture"] = table["tesla"].map({0: "mmoe", 1: "tesla"})
    stch = (table["dataset"] == "mtlendovis") & (table["sma"] == 1)
    table["weighting"] = stch.map({True: "stch", False: "db_mtl"})
    return table.drop(columns=["dinov2", "tesla", "sma"]).set_index(["dataset", *KEY])


def paper_ranks() -> pd.DataFrame:
    """Return Table VI: scores of EndoARSS with TESLA by dataset, rank and weighting.

    The table does not name the weightings. Its rows of rank 4 equal the row of DB-MTL in Table II and that of STCH in Table III.
    """
    table = pd.read_csv(_FOLDER / "table6_rank.csv").rename(columns=_METRIC_OF_COLUMN)
    table["dataset"] = table["dataset"].replace({title: name for name, title in DATASETS.items()})
    table["weighting"] = table["dataset"].map({"mtlesd": "db_mtl", "mtlendovis": "stch"})
    return table.set_index(["dataset", "rank", "weighting"])


def paper_robustness() -> pd.DataFrame:
    """Return Table VII by corruption ("mean" is the last row), with columns (metric, backbone, architecture, weighting)."""
    table = pd.read_csv(_FOLDER / "table7_robustness.csv").set_index("corruption")
    models = _ROBUST_COLUMNS.items()
    return pd.DataFrame({(metric, *model): table[f"{metric}_{name}"] for metric in MAIN for model, name in models})
