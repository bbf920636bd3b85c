"""Select the settings that decide each result. If one of these settings changes, the result is made again."""

from __future__ import annotations

from typing import Any

from endoarss.registry import MERGERS
from pipeline.io.hashing import digest
from pipeline.study.cell import Cell
from pipeline.study.cells import merging_of, models_of, schedule_of
from pipeline.study.datasets import evaluated_on
from pipeline.study.folders import dataset_folder
from pipeline.study.models import Study
from pipeline.study.variants import architecture_settings, kinds_of, weighting_settings

OF_TRAINING = ("batch_size", "drop_last", "weight_decay", "augmentation", "precision", "compile", "deterministic")
"""Keys of `training` that decide every model. A test checks that every other key is handled elsewhere or decides nothing."""


OF_EXECUTION = ("checkpoint_every", "cells_per_gpu", "tensorboard")
"""Keys of `training` that decide no result."""


def study_digest(study: Study) -> str:
    """Return the hex SHA-256 of the whole study."""
    return digest(study.as_dict())


def cell_settings(study: Study, cell: Cell) -> dict[str, Any]:
    """Return the settings that decide a trained or merged model."""
    folders = [str(dataset_folder(study, dataset)) for dataset in evaluated_on(study, cell.dataset)]
    if cell.merger:
        merging = settings_of_merging(study, cell.merger, cell.surgery)
        return {"cell": cell.id, **merging, "evaluated_on": folders}
    backbone, training = study.backbones[cell.backbone].as_dict(), study.training.as_dict()
    return {
        "cell": cell.id,
        "input_size": study.input_size,
        "normalisation": study.normalisation,
        "align_corners": study.align_corners,
        "kinds": kinds_of(study, cell),
        "backbone": {key: value for key, value in backbone.items() if key not in ("kind", "label")},
        "lora": {**study.lora.as_dict(), "rank": cell.rank},
        "heads": study.heads.as_dict(),
        "architecture": architecture_settings(study, cell.architecture),
        "weighting": weighting_settings(study, cell.weighting),
        **{key: training[key] for key in OF_TRAINING},
        "select_on": cell.select_on,
        "score_every": study.training.score_every or (None if cell.select_on == "last" else 1),
        "schedule": schedule_of(study, cell).as_dict(),
        "evaluated_on": folders,
    }


def settings_of_merging(study: Study, merger: str, rank: int) -> dict[str, Any]:
    """Return the settings that decide a merged model, besides its single-task models. rank: rank of Surgery, 0 without Surgery."""
    merging = merging_of(study)
    surgery = merging.surgery
    settings = {**MERGERS.settings(merger), **study.mergers.get(merger, {})}
    return {
        "input_size": study.input_size,
        "merger": {
            merger: {key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()}
        },
        "surgery": {"rank": rank, "iterations": surgery.iterations, "learning_rate": surgery.learning_rate}
        if rank
        else None,
        # The batches of one step of AdaMerging and of one iteration of Surgery.
        "images_a_step": [surgery.batches, surgery.batch_size],
        "unlabelled": merging.unlabelled,
        "memory_mib": merging.memory_mib,
    }


def pretraining_settings(study: Study) -> dict[str, Any]:
    """Return the settings that decide the study's own pretraining; empty without one."""
    if study.pretraining is None:
        return {}
    backbone = study.backbones[study.pretraining.backbone]
    model = {
        "model": backbone.model,
        "arguments": backbone.arguments,
        "input_size": backbone.network_size or study.input_size,
    }
    return {**study.pretraining.as_dict(), **model}


def settings_of_datasets(study: Study) -> dict[str, Any]:
    """Return the settings that decide the figures of the datasets, the order of datasets included."""
    settings = report_settings(study)
    return {key: settings[key] for key in ("study", "raw", "datasets", "input_size")} | {"order": list(study.datasets)}


def report_settings(study: Study) -> dict[str, Any]:
    """Return the settings that decide tables, figures and the page: the study without folders of raw trees and without `OF_EXECUTION`.

    The order of keys is included, because a table may show only the first of several cells.
    """
    settings = study.as_dict()
    raw = {key: value for key, value in settings["raw"].items() if key in ("generate", "endovis2018_scheme")}
    training = {key: value for key, value in settings["training"].items() if key not in OF_EXECUTION}
    keys = ("datasets", "backbones", "architectures", "weightings", "mergers")
    order = {key: list(settings.get(key, ())) for key in keys}
    return {
        **settings,
        "raw": raw,
        "training": training,
        "order": order,
        "cells": [cell.id for cell in models_of(study)],
    }
