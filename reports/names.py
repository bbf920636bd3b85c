"""Defines the file names of tables and figures, and the names of models and figures that readers see.

The names of metrics are in `endoarss.metrics.catalogue`.
"""

from __future__ import annotations

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


# The numbers that the paper gives its tables.
PAPER_TABLES = {
    "table2_mtlesd": "II",
    "table3_mtlendovis": "III",
    "table4_mtlendovis_gen": "IV",
    TABLE_ABLATION: "V",
    TABLE_RANK: "VI",
    TABLE_ROBUSTNESS: "VII",
}
# The dataset of the paper's Table VII.
PAPER_ROBUSTNESS = "mtlesd"
# The models of Table VII, by backbone, architecture and weighting, in the order of its columns.
PAPER_ROBUST_MODELS = (
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
# What each reference predicts, by its label.
MEANINGS_OF_REFERENCES = {
    "Majority activity": "the most frequent activity of the training split",
    "All background": "a mask with only background",
    "Activity from true instruments": "the most frequent activity of the training frames that have the same true instruments as the image",
}
REFERENCE_BACKBONE = "reference"


def in_words(value: str) -> str:
    """Return a value of a study key in the form that captions show, such as "authors' code" for the protocol `authors_code`."""
    return {"authors_code": "authors' code"}.get(value, value.replace("_", " "))


def corruption_in_words(name: str) -> str:
    """Return the name of a corruption in the form that readers see, such as "JPEG compression"."""
    return name.replace("_", " ").replace("gaussian", "Gaussian").replace("jpeg", "JPEG")


def against_paper(name: str) -> str:
    """Return the name of the table that compares the scores of a table with the paper's."""
    return f"{name}_against_paper"


def is_in_paper(dataset: str) -> bool:
    """Return whether the paper has a table of results on a dataset."""
    return dataset in _TABLE_OF_DATASET


def table_of_dataset(dataset: str) -> str:
    """Return the name of the table of results on a dataset."""
    return _TABLE_OF_DATASET.get(dataset, f"table_{dataset}")


def figure_of_classes(dataset: str) -> str:
    """Return the name of the figure of scores per class on a dataset."""
    return f"fig_classes_{dataset}"


def figure_of_confusion(dataset: str) -> str:
    """Return the name of the figure of confusion matrices on a dataset."""
    return f"fig_confusion_{dataset}"


def figure_of_history(dataset: str) -> str:
    """Return the name of the figure of training histories on a dataset."""
    return f"history_{dataset}"


@dataclass(frozen=True)
class Labels:
    """Labels of backbones, architectures and weightings, by name; a name without a label is shown as it is."""

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
        """Return the label of a model in one line; single-task models have no weighting."""
        parts = [self.backbone(backbone), self.architecture(architecture)]
        return " ".join(parts if architecture.startswith("single_") else [*parts, self.weighting(weighting)]).strip()


KNOWN_LABELS = Labels()
"""Labels of the project's own architectures and weightings."""


def merged_label(merger: str, rank: int = 0) -> str:
    """Return the label of a merged model; `rank` is the rank of its Surgery, 0 if it has none."""
    name = MERGERS.get(merger, merger)
    return f"{name} + Surgery {rank}" if rank else name


# By file name without its ending: the short name of a figure in the list of contents, and its title.
FIGURES = {
    "fig1_classes_by_activity": ("Classes by activity", "Classes that occur in each activity"),
    FIGURE_TASKS: ("Tasks alone and together", "Predictions of single-task and multi-task models for the same images"),
    FIGURE_SEGMENTATION: ("Predictions", "Images, true masks and predicted masks"),
    FIGURE_SEVERITY: ("Severity", "Scores against the severity of corruption"),
    FIGURE_RETENTION: ("Retention", "Share of the clean score that remains, by severity and by category of corruption"),
    FIGURE_HEATMAP: ("Heat map", "Scores of each model under each corruption"),
    FIGURE_COST: ("Cost", "Scores against trained parameters and inference speed"),
    FIGURE_MERGING: ("Merging", "Bias and scores of merged models, before and after Representation Surgery"),
    FIGURE_REPRESENTATIONS: ("Representations", "Representations of individual and merged models, projected"),
    "class_balance": ("Balance", "Number of training and test frames by label"),
    "leakage": ("Leakage", "Similarity of test frames and training frames"),
}
# By file name without its ending: the text below a figure on the page, which says what the figure selects.
FIGURE_NOTES = {
    FIGURE_TASKS: "The columns are the test images on which the multi-task model gains most, gains the median, and loses most in mean IoU.",
    FIGURE_SEGMENTATION: (
        "For each dataset: the model of each backbone with the highest mIoU, among those with the study's adapter rank. The columns are "
        "the test images with the best, the median and the worst mean IoU under the best of these models. The mean IoU of a column is "
        "that of one image; the mIoU of a model is over all test images."
    ),
    FIGURE_HEATMAP: "The models of the table of robustness. Scores are means over the severities.",
}
# Short names and titles of figures that exist once per dataset, by the beginning of the file name.
_FIGURES_OF_DATASETS = {
    "fig_classes_": ("Classes, {}", "Scores by label on {}"),
    "fig_confusion_": ("Confusion, {}", "Confusion matrices on {}"),
    "history_": ("Trainings, {}", "Losses, weights and gradients on {}"),
    "contact_": ("Contact sheet, {}", "Contact sheet of {}"),
}


def figure_title(name: str, titles: Mapping[str, str]) -> tuple[str, str]:
    """Return the short name and the title of a figure.

    Args:
        name: Name of its file without the ending.
        titles: Readable names of datasets.
    """
    if name in FIGURES:
        return FIGURES[name]
    for beginning, (short, title) in _FIGURES_OF_DATASETS.items():
        dataset = name.removeprefix(beginning)
        if name.startswith(beginning) and dataset in titles:
            return short.format(titles[dataset]), title.format(titles[dataset])
    words = name.removeprefix("fig_").replace("_", " ")
    return words.capitalize(), words.capitalize()
