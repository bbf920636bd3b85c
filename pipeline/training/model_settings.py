"""Turn a study into the settings of a cell's model and training that `endoarss` takes."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from endoarss.augmentation import AugmentationSettings
from endoarss.models import MultiTaskModel
from endoarss.settings import ModelSettings
from endoarss.training import TrainingSettings
from pipeline.study.cell import Cell
from pipeline.study.cells import schedule_of
from pipeline.study.conditions import training_corruptions
from pipeline.study.datasets import labels_of
from pipeline.study.folders import weights_file
from pipeline.study.models import Study, WeightsFile
from pipeline.study.variants import (
    architecture_kind,
    architecture_settings,
    backbone_kind,
    weighting_kind,
    weighting_settings,
)
from pipeline.training.corrupt_training import image_corruption


def model_settings(study: Study, cell: Cell, weights_sha256: str = "") -> ModelSettings:
    """Return the settings of a cell's model.

    Args:
        study: the study.
        cell: a cell that is trained.
        weights_sha256: SHA-256 of the file of pretrained weights, if there is one; the file is checked against it.
    """
    given = study.backbones[cell.backbone]
    labels, heads = labels_of(study, cell.dataset), study.heads
    return ModelSettings.from_dict(
        {
            "backbone": backbone_kind(study, cell.backbone),
            "architecture": architecture_kind(study, cell.architecture),
            "classes": labels.classes,
            "activities": labels.activities,
            "input_size": study.input_size,
            "network_size": given.network_size or 0,
            "normalisation": study.normalisation,
            "align_corners": study.align_corners,
            "backbone_settings": {
                "model": given.model,
                "arguments": given.arguments,
                "weights": _weights(study, cell, weights_sha256),
                "output_stride": given.output_stride,
                "lora": {**study.lora.as_dict(), "rank": cell.rank},
                "sma": {
                    "width": given.sma_width,
                    "trained": given.sma_trained,
                    "residual": given.sma_residual,
                },
                "token_map": given.token_map,
                "with_sma": bool(given.sma),
            },
            "architecture_settings": architecture_settings(study, cell.architecture),
            "heads": {"atrous_rates": (), **heads.as_dict()},
        }
    )


def _weights(study: Study, cell: Cell, sha256: str) -> dict[str, Any]:
    given, file = study.backbones[cell.backbone].weights, weights_file(study, cell.backbone)
    if isinstance(given, WeightsFile):
        names = {key: value for key, value in given.as_dict().items() if key != "file"}
        return {"source": "file", "path": str(file), "sha256": sha256, **names}
    return {"source": given}


def training_settings(study: Study, cell: Cell) -> TrainingSettings:
    """Return the schedule and weighting of a cell's training."""
    schedule, training = schedule_of(study, cell), study.training
    own = {field.name for field in fields(AugmentationSettings)}
    changes = {key: value for key, value in training.augmentation.as_dict().items() if key in own}
    corrupted = training_corruptions(study)
    return TrainingSettings(
        epochs=schedule.epochs,
        learning_rate=schedule.learning_rate,
        batch_size=training.batch_size,
        weighting=weighting_kind(study, cell.weighting),
        weighting_settings=weighting_settings(study, cell.weighting),
        seed=cell.seed,
        decay_every=schedule.decay.every if schedule.decay else 0,
        decay_factor=schedule.decay.factor if schedule.decay else 1.0,
        weight_decay=training.weight_decay,
        drop_last=training.drop_last,
        augmentation=AugmentationSettings(**changes),
        corruption=image_corruption(corrupted) if corrupted else None,
        precision=training.precision,
        compile={"auto": None, "yes": True, "no": False}[training.compile],
        checkpoint_every=training.checkpoint_every,
        validate_every=training.score_every or 1,
        deterministic=training.deterministic,
    )


def describe(model: MultiTaskModel) -> str:
    """Return in one line how many parameters train in each part of a model."""
    trained, total = model.count_parameters()
    parts = [f"{part} {some:,} of {of:,}" for part, (some, of) in model.parameters_by_part().items()]
    return f"{trained:,} of {total:,} parameters train: {', '.join(parts)}"
