"""From a study to what the model library takes: the settings of a cell's model and of its training."""

from __future__ import annotations

from typing import Any

from endoarss.augmentation import AugmentationSettings
from endoarss.models import MultiTaskModel
from endoarss.settings import ModelSettings
from endoarss.training import TrainingSettings
from pipeline.study.cell import Cell
from pipeline.study.study import Study


def model_settings(study: Study, cell: Cell, weights_sha256: str = "") -> ModelSettings:
    """The settings of a cell's model.

    Args:
        weights_sha256: of the file of pretrained weights, where there is one; the file is then checked against it.
    """
    given = study.settings["backbones"][cell.backbone]
    labels, heads = study.labels(cell.dataset), study.settings["heads"]
    return ModelSettings.from_dict(
        {
            "backbone": cell.backbone,
            "architecture": cell.architecture,
            "classes": labels.classes,
            "activities": labels.activities,
            "input_size": study.settings["input_size"],
            "network_size": study.settings.get("network_size", 0),
            "normalisation": study.settings["normalisation"],
            "backbone_settings": {
                "model": given["model"],
                "arguments": given["arguments"],
                "weights": _weights(study, cell, weights_sha256),
                "output_stride": given["output_stride"],
                "lora": {**study.settings["lora"], "rank": cell.rank},
                "sma": {
                    "width": given["sma_width"],
                    "trained": given["sma_trained"],
                    "residual": given["sma_residual"],
                },
                "token_map": given["token_map"],
            },
            "architecture_settings": study.settings["architectures"].get(cell.architecture, {}),
            "heads": {**heads, "atrous_rates": heads.get("atrous_rates", ())},
        }
    )


def _weights(study: Study, cell: Cell, sha256: str) -> dict[str, Any]:
    given = study.settings["backbones"][cell.backbone]["weights"]
    file = study.weights_file(cell.backbone)
    if file is None:
        return {"source": given}
    return {"source": "file", "path": str(file), "sha256": sha256, "prefix": given.get("prefix", "")}


def training_settings(study: Study, cell: Cell) -> TrainingSettings:
    """The schedule and weighting of a cell's training."""
    schedule, training = study.schedule(cell), study.settings["training"]
    decay = schedule.get("decay", {"every": 0, "factor": 1.0})
    return TrainingSettings(
        epochs=schedule["epochs"],
        learning_rate=schedule["learning_rate"],
        batch_size=training["batch_size"],
        weighting=cell.weighting,
        weighting_settings=dict(study.settings["weightings"].get(cell.weighting, {})),
        seed=cell.seed,
        decay_every=decay["every"],
        decay_factor=decay["factor"],
        augmentation=AugmentationSettings(**training["augmentation"]),
        precision=training["precision"],
        compile={"auto": None, "yes": True, "no": False}[training["compile"]],
        checkpoint_every=training["checkpoint_every"],
        validate_every=training.get("score_every", 1),
        deterministic=training["deterministic"],
    )


def describe(model: MultiTaskModel) -> str:
    """Which parameters train, part by part, in one line."""
    trained, total = model.count_parameters()
    parts = [f"{part} {some:,} of {of:,}" for part, (some, of) in model.parameters_by_part().items()]
    return f"{trained:,} of {total:,} parameters train: {', '.join(parts)}"
