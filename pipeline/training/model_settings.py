"""Turn a study into the settings of `endoarss` for a cell's model and its training."""

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
        weights_sha256: expected SHA-256 of the file of pretrained weights, if there is a file.
    """
    backbone = study.backbones[cell.backbone]
    labels, heads = labels_of(study, cell.dataset), study.heads
    return ModelSettings.from_dict(
        {
            "backbone": backbone_kind(study, cell.backbone),
            "architecture": architecture_kind(study, cell.architecture),
            "classes": labels.classes,
            "activities": labels.activities,
            "input_size": study.input_size,
            "network_size": backbone.network_size or 0,
            "normalisation": study.normalisation,
            "align_corners": study.align_corners,
            "backbone_settings": {
                "model": backbone.model,
                "arguments": backbone.arguments,
                "weights": _weights(study, cell, weights_sha256),
                "output_stride": backbone.output_stride,
                "lora": {**study.lora.as_dict(), "rank": cell.rank},
                "sma": {
                    "width": backbone.sma_width,
                    "trained": backbone.sma_trained,
                    "residual": backbone.sma_residual,
                },
                "token_map": backbone.token_map,
                "with_sma": bool(backbone.sma),
            },
            "architecture_settings": architecture_settings(study, cell.architecture),
            "heads": {"atrous_rates": (), **heads.as_dict()},
        }
    )


def _weights(study: Study, cell: Cell, sha256: str) -> dict[str, Any]:
    weights, file = study.backbones[cell.backbone].weights, weights_file(study, cell.backbone)
    if isinstance(weights, WeightsFile):
        names = {key: value for key, value in weights.as_dict().items() if key != "file"}
        return {"source": "file", "path": str(file), "sha256": sha256, **names}
    return {"source": weights}


def training_settings(study: Study, cell: Cell) -> TrainingSettings:
    """Return the settings of a cell's training, such as schedule, weighting and augmentation."""
    schedule, training = schedule_of(study, cell), study.training
    known = {field.name for field in fields(AugmentationSettings)}
    augmentation = {key: value for key, value in training.augmentation.as_dict().items() if key in known}
    corruptions = training_corruptions(study)
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
        augmentation=AugmentationSettings(**augmentation),
        corruption=image_corruption(corruptions) if corruptions else None,
        precision=training.precision,
        compile={"auto": None, "yes": True, "no": False}[training.compile],
        checkpoint_every=training.checkpoint_every,
        validate_every=training.score_every or 1,
        deterministic=training.deterministic,
    )


def describe(model: MultiTaskModel) -> str:
    """Return a line with the numbers of trained and of all parameters, for a model and for each of its parts."""
    trained, total = model.count_parameters()
    counts = model.parameters_by_part().items()
    parts = [f"{part} {trained_in_part:,} of {in_part:,}" for part, (trained_in_part, in_part) in counts]
    return f"{trained:,} of {total:,} parameters are trained: {', '.join(parts)}"
