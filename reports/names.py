"""Names of tables, columns and metrics as readers see them."""

from __future__ import annotations

import re

TABLE_DATASETS = "table1_datasets"
TABLE_ABLATION = "table5_ablation"
TABLE_RANK = "table6_rank"
TABLE_ROBUSTNESS = "table7_robustness"
TABLE_ROBUSTNESS_SUMMARY = "table_robustness_summary"
TABLE_ROBUSTNESS_CONDITIONS = "table_robustness_conditions"
FIGURE_SEVERITY = "fig6_severity"
FIGURE_RETENTION = "fig_retention"
TABLE_COST = "table_cost"
TABLE_LEAKAGE = "table_leakage"
TABLE_SIMILARITY = "table_similarity"
_TABLE_OF_DATASET = {
    "mtlesd": "table2_mtlesd",
    "mtlendovis": "table3_mtlendovis",
    "mtlendovis_gen": "table4_mtlendovis_gen",
}

# Columns of the tables of one dataset, by metric of the long result table.
HEADLINE = {
    "accuracy": "Accuracy (%)",
    "macro_f1": "Macro F1 (%)",
    "miou": "mIoU (%)",
    "dice": "Dice (%)",
    "miou_foreground": "mIoU fg (%)",
    "dice_foreground": "Dice fg (%)",
}
# Metrics in running text and at axes.
METRICS = {"accuracy": "accuracy", "miou": "mIoU", "hd95": "HD95", "assd": "ASSD"}
ARCHITECTURES = {
    "hps": "HPS",
    "mmoe": "MMoE",
    "tesla": "TESLA",
    "dselect_k": "DSelect-k",
    "single_activity": "Classification only",
    "single_segmentation": "Segmentation only",
}
WEIGHTINGS = {"equal": "Equal", "stch": "STCH", "db_mtl": "DB-MTL", "moco": "MoCo", "aligned_mtl": "Aligned-MTL"}
REFERENCES = {
    "majority_activity": "Majority activity",
    "all_background": "All background",
    "activity_from_instruments": "Activity from true instruments",
}
REFERENCE_BACKBONE = "reference"


def table_of_dataset(dataset: str) -> str:
    """The table a dataset's results stand in."""
    return _TABLE_OF_DATASET.get(dataset, f"table_{dataset}")


def table_title(name: str) -> str:
    """How readers call a table: "Table 3" for table3_mtlendovis; a table outside the paper has no number."""
    number = re.match(r"table(\d+)_", name)
    if number:
        return f"Table {number[1]}"
    return f"Table, {name.removeprefix('table_').replace('_', ' ')}"


def architecture_label(name: str) -> str:
    """An architecture or reference as readers know it."""
    return ARCHITECTURES.get(name, REFERENCES.get(name, name))


def model_label(backbone: str, architecture: str, weighting: str) -> str:
    """A cell in one line. A single task has nothing to weigh."""
    parts = [backbone, architecture_label(architecture)]
    return " ".join(parts if architecture.startswith("single_") else [*parts, weighting_label(weighting)])


def weighting_label(name: str) -> str:
    """A weighting as readers know it."""
    return WEIGHTINGS.get(name, name)
