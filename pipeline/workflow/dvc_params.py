"""Which settings each job depends on, as keys of params.yaml: what DVC compares, and what experiments may set.

They say the same as the `params` of the rules: whoever changes one changes the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from endoarss.registry import list_mergers
from pipeline.study.cells import find_cell, schedule_key
from pipeline.study.datasets import recipe_of
from pipeline.study.fingerprints import OF_TRAINING
from pipeline.study.models import Study

_OF_TRAINING = (*OF_TRAINING, "select_on", "score_every")

# Tables and figures show the rank of most cells, and the first seed.
_CHOSEN = ("lora.rank", "seeds")


def param_keys(study: Study, given: Mapping[str, Any], rule: str, wildcards: Mapping[str, str]) -> list[str]:
    """The keys that a job depends on, of those that the study's file holds, e.g. weightings.db_mtl.

    Args:
        study: validated, with defaults. given: what its file holds. rule, wildcards: of the job.
    """
    if rule == "train_cell":
        keys = _of_cell(study, wildcards["cell"])
    elif rule in ("merge_models", "evaluate_merged_cells", "evaluate_merged_robustness"):
        keys = _of_merging(study, rule)
    elif rule in ("check_sources", "build_dataset"):
        keys = _of_dataset(study, wildcards["dataset"])
    elif rule == "pretrain_backbone" and study.pretraining:
        backbone = f"backbones.{study.pretraining.backbone}"
        keys = ["pretraining", f"{backbone}.model", f"{backbone}.arguments", _input_of_network(study)]
    else:
        keys = {
            "generate_raw": ["raw.generate"],
            "corrupt_images": _of_robustness(),
            "evaluate_robustness": _of_robustness(),
            "score_references": ["input_size"],
            "collect_results": [*(f"backbones.{name}.label" for name in study.backbones), "protocol"],
            "draw_leakage": ["input_size"],
            "make_tables": ["robustness.baseline", "merging", *_CHOSEN],
            "draw_figures": ["robustness.baseline", "merging", *_CHOSEN],
            "make_page": ["title", "robustness.baseline", "merging", *_CHOSEN],
            "write_paper": ["title", *_CHOSEN],
        }.get(rule, [])
    return sorted(key for key in keys if _holds(given, key))


def _of_cell(study: Study, cell_id: str) -> list[str]:
    cell = find_cell(study, cell_id)
    backbone = study.backbones[cell.backbone].as_dict()
    return [
        "input_size",
        "network_size",
        "normalisation",
        # Not its label, which is for people.
        *(f"backbones.{cell.backbone}.{key}" for key in backbone if key != "label"),
        # Not the rank, which is part of a cell's name.
        *(f"lora.{key}" for key in study.lora.as_dict() if key != "rank"),
        "heads",
        f"architectures.{cell.architecture}",
        f"weightings.{cell.weighting}",
        *(f"training.{key}" for key in _OF_TRAINING),
        f"training.schedules.{schedule_key(study, cell.dataset, cell.backbone, cell.architecture)}",
    ]


def _of_merging(study: Study, rule: str) -> list[str]:
    """Which models there are decides what all three rules write; how they are merged decides what the first does."""
    which = ["merging.mergers", "merging.unlabelled", "merging.surgery.rank", "merging.surgery.ablation"]
    if rule == "merge_models":
        return [
            "input_size",
            "merging.memory_mib",
            "merging.surgery",
            *which[:2],
            *(f"mergers.{name}" for name in list_mergers()),
        ]
    return [*which, *_of_robustness()] if rule == "evaluate_merged_robustness" else which


def _of_dataset(study: Study, dataset: str) -> list[str]:
    sources = [] if study.synthetic else recipe_of(study, dataset).sources
    return [f"datasets.{dataset}", "raw.generate", "raw.endovis2018_scheme", *(f"raw.{name}" for name in sources)]


def _of_robustness() -> list[str]:
    return ["input_size", *(f"robustness.{key}" for key in ("corruptions", "severities", "seed", "profile"))]


def _input_of_network(study: Study) -> str:
    return "network_size" if "network_size" in study.as_dict() else "input_size"


def _holds(given: Any, key: str) -> bool:
    for part in key.split("."):
        if not isinstance(given, Mapping) or part not in given:
            return False
        given = given[part]
    return True
