"""Names of tables, figures and models as readers see them; those of metrics stand in `endoarss.metrics.catalogue`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

TABLE_DATASETS = "table1_datasets"
TABLE_ABLATION = "table5_ablation"
TABLE_RANK = "table6_rank"
TABLE_ROBUSTNESS = "table7_robustness"
TABLE_ROBUSTNESS_SUMMARY = "table_robustness_summary"
TABLE_ROBUSTNESS_CONDITIONS = "table_robustness_conditions"
FIGURE_TASKS = "fig2_single_and_multi_task"
FIGURE_SEGMENTATION = "fig5_segmentation"
FIGURE_SEVERITY = "fig6_severity"
FIGURE_RETENTION = "fig_retention"
FIGURE_HEATMAP = "fig_heatmap"
FIGURE_COST = "fig_cost"
TABLE_COST = "table_cost"
TABLE_COMPARISON = "table_comparison"
TABLE_PAIRS = "table_pairs"
TABLE_CLASSES = "table_classes"
TABLE_ACTIVITIES = "table_activities"
TABLE_CONFUSION = "table_confusion"
TABLE_CLAIMS = "table_reproduction"
TABLE_LEAKAGE = "table_leakage"
TABLE_SIMILARITY = "table_similarity"
TABLE_MERGING = "merging"
TABLE_SURGERY_RANKS = "merging_surgery_ranks"
FIGURE_MERGING = "fig_merging"
FIGURE_REPRESENTATIONS = "fig_representations"
_TABLE_OF_DATASET = {
    "mtlesd": "table2_mtlesd",
    "mtlendovis": "table3_mtlendovis",
    "mtlendovis_gen": "table4_mtlendovis_gen",
}


# The paper's own numbers for its tables.
PAPER_TABLES = {
    "table2_mtlesd": "II",
    "table3_mtlendovis": "III",
    "table4_mtlendovis_gen": "IV",
    TABLE_ABLATION: "V",
    TABLE_RANK: "VI",
    TABLE_ROBUSTNESS: "VII",
}
# The dataset of the paper's Table VII.
PUBLISHED_ROBUSTNESS = "mtlesd"
# Its models, by backbone, architecture and weighting, in the order of its columns.
PUBLISHED_ROBUST_MODELS = (
    ("resnet", "dselect_k", "db_mtl"),
    ("resnet", "mmoe", "db_mtl"),
    ("endoarss", "tesla", "db_mtl"),
)
ARCHITECTURES = {
    "hps": "HPS",
    "mmoe": "MMoE",
    "tesla": "TESLA",
    "dselect_k": "DSelect-k",
    "task_adapters": "Task adapters",
    "cross_stitch": "Cross-stitch",
    "cgc": "CGC",
    "single_activity": "Classification only",
    "single_segmentation": "Segmentation only",
}
WEIGHTINGS = {
    "equal": "Equal",
    "stch": "STCH",
    "db_mtl": "DB-MTL",
    "moco": "MoCo",
    "aligned_mtl": "Aligned-MTL",
    "uncertainty": "Uncertainty",
    "dwa": "DWA",
    "gls": "GLS",
    "rlw": "RLW",
    "imtl": "IMTL",
    "imtl_g": "IMTL-G",
    "pcgrad": "PCGrad",
    "gradvac": "GradVac",
    "cagrad": "CAGrad",
    "mgda": "MGDA",
    "famo": "FAMO",
    "fairgrad": "FairGrad",
    "upgrad": "UPGrad",
}
MERGERS = {
    "averaging": "Averaging",
    "task_arithmetic": "Task arithmetic",
    "ties": "TIES",
    "adamerging_task": "AdaMerging (task)",
    "adamerging_layer": "AdaMerging (layer)",
}
REFERENCES = {
    "majority_activity": "Majority activity",
    "all_background": "All background",
    "activity_from_instruments": "Activity from true instruments",
}
REFERENCE_BACKBONE = "reference"


def beside_published(name: str) -> str:
    """The table that sets the scores of another beside the paper's."""
    return f"{name}_published"


def has_published(dataset: str) -> bool:
    """Whether the paper has a table of a dataset's results."""
    return dataset in _TABLE_OF_DATASET


def table_of_dataset(dataset: str) -> str:
    """The table a dataset's results stand in."""
    return _TABLE_OF_DATASET.get(dataset, f"table_{dataset}")


def figure_of_classes(dataset: str) -> str:
    """The figure of a dataset's scores by class."""
    return f"fig_classes_{dataset}"


def figure_of_confusion(dataset: str) -> str:
    """The figure of what is taken for what on a dataset."""
    return f"fig_confusion_{dataset}"


def figure_of_history(dataset: str) -> str:
    """The figure of the trainings on a dataset."""
    return f"history_{dataset}"


def table_title(name: str) -> str:
    """How readers call a table: "Table 3" for table3_mtlendovis; a table outside the paper has no number."""
    number = re.match(r"table(\d+)_", name)
    if number:
        return f"Table {number[1]}" + (
            ", beside the paper's" if name == beside_published(name.removesuffix("_published")) else ""
        )
    return f"Table, {name.removeprefix('table_').replace('_', ' ')}"


@dataclass(frozen=True)
class Labels:
    """What readers call backbones, architectures and weightings, by name. Names without a label are shown as they are."""

    backbones: Mapping[str, str] = field(default_factory=dict)
    architectures: Mapping[str, str] = field(default_factory=lambda: ARCHITECTURES)
    weightings: Mapping[str, str] = field(default_factory=lambda: WEIGHTINGS)

    def backbone(self, name: str) -> str:
        """Return the label of a backbone."""
        return self.backbones.get(name, name)

    def architecture(self, name: str) -> str:
        """Return the label of an architecture or of a reference that needs no model."""
        return self.architectures.get(name, REFERENCES.get(name, name))

    def weighting(self, name: str) -> str:
        """Return the label of a weighting."""
        return self.weightings.get(name, name)

    def model(self, backbone: str, architecture: str, weighting: str) -> str:
        """Return a model in one line. A single task has nothing to weigh."""
        parts = [self.backbone(backbone), self.architecture(architecture)]
        return " ".join(parts if architecture.startswith("single_") else [*parts, self.weighting(weighting)]).strip()


KNOWN_LABELS = Labels()
"""Labels of the project's own architectures and weightings."""


def merged_label(merger: str, rank: int = 0) -> str:
    """A merged model as readers know it. rank: of its Surgery, 0 without."""
    name = MERGERS.get(merger, merger)
    return f"{name} + Surgery {rank}" if rank else name


# Figures as readers know them, by file name without its ending: how they are called, and what they show.
FIGURES = {
    "fig1_classes_by_activity": ("Figure 1 (a)", "Which classes occur in which activity"),
    FIGURE_TASKS: ("Figure 2", "What tasks alone and together say of the same images"),
    FIGURE_SEGMENTATION: ("Figure 5", "Image, truth and predictions"),
    FIGURE_SEVERITY: ("Figure 6", "Scores against severity"),
    FIGURE_RETENTION: ("Retention", "What remains of the clean score, by severity and by category of corruption"),
    FIGURE_HEATMAP: ("Heat map", "Scores of each model under each corruption"),
    FIGURE_COST: ("Cost", "Scores against parameters and speed"),
    FIGURE_MERGING: ("Merging", "Bias and scores of merged models, before and after Representation Surgery"),
    FIGURE_REPRESENTATIONS: ("Representations", "Representations of individual and merged models, projected"),
    "class_balance": ("Balance", "Frames of each activity and class"),
    "leakage": ("Leakage", "How alike test and training frames are"),
}
# The same of figures that stand once for each dataset, by the beginning of the name.
_FIGURES_OF_DATASETS = {
    "fig_classes_": ("Classes, {}", "Scores of each class and activity on {}"),
    "fig_confusion_": ("Confusion, {}", "What is taken for what on {}"),
    "history_": ("Trainings, {}", "Losses, weights and gradients on {}"),
}


def figure_title(name: str, titles: Mapping[str, str]) -> tuple[str, str]:
    """How a figure is called, and what it shows.

    Args:
        name: of its file, without the ending. titles: readable names of datasets.
    """
    if name in FIGURES:
        return FIGURES[name]
    for beginning, (short, title) in _FIGURES_OF_DATASETS.items():
        dataset = name.removeprefix(beginning)
        if name.startswith(beginning) and dataset in titles:
            return short.format(titles[dataset]), title.format(titles[dataset])
    words = name.removeprefix("fig_").replace("_", " ")
    return words.capitalize(), words.capitalize()
