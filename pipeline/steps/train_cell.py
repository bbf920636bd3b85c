"""Train one cell, evaluate it on its datasets, and write everything: one process, for imports cost seconds."""

from __future__ import annotations

import csv
import functools
import io
import time

import numpy as np

from endoarss.checkpoints import save_checkpoint, tensors_sha256
from endoarss.data import LabelledImages
from endoarss.models import MultiTaskModel, build_model
from endoarss.prediction import predict
from endoarss.settings import ModelSettings
from endoarss.training import TrainingSettings, seed_everything, train
from pipeline.datasets.load import Part, load_part, validation_rows
from pipeline.errors import InputError
from pipeline.files import sha256_of, whole_file, write_json, write_text
from pipeline.measure import PROTOCOL, measure
from pipeline.provenance import choose_device, software
from pipeline.study import Cell, Study


def train_cell(study: Study, cell: Cell) -> None:
    """Write the cell's checkpoint, history, provenance and evaluations.

    Raises:
        InputError: if a dataset is not built. SettingsError: if the model cannot be built.
        TrainingError: if a loss is not finite.
    """
    device, folder = choose_device(), study.cell_folder(cell)
    weights = study.weights_file(cell.backbone)
    weights_sha256 = sha256_of(weights) if weights is not None and weights.is_file() else ""
    dataset = study.dataset_folder(cell.dataset)
    part = load_part(dataset, "train", study.settings["input_size"])
    seed_everything(cell.seed)
    model = build_model(model_settings(study, cell, weights_sha256))
    schedule = study.schedule(cell.dataset, cell.backbone)
    settings = TrainingSettings(
        epochs=schedule["epochs"],
        learning_rate=schedule["learning_rate"],
        batch_size=study.settings["training"]["batch_size"],
        weighting=cell.weighting,
        weighting_settings=dict(study.settings["weightings"].get(cell.weighting, {})),
        seed=cell.seed,
    )
    source = model.settings.backbone_settings.weights.source
    if source == "hub":
        weights_sha256 = initial_sha256(model)
    about_software = software()
    started = time.perf_counter()
    validate, fitted = None, part
    if cell.select_on == "val":
        held_out = validation_rows(dataset)
        if held_out.all() or not held_out.any():
            raise InputError(
                f"{dataset}: {held_out.sum()} of {len(held_out)} training frames are for validation; select_on: val asks for some "
                "to choose on and some to train on. Too few frames: use select_on: last."
            )
        fitted, chosen_on = part.take(~held_out), part.take(held_out)
        validate = functools.partial(_validation_score, study, cell, chosen_on)
    data = LabelledImages(fitted.images, fitted.masks, fitted.activities)
    history = train(model, data, settings, device, cell.id, validate)
    trained, total = model.count_parameters()
    provenance = {
        "cell": cell.id,
        "study": study.name,
        "study_sha256": study.digest(),
        "settings": study.cell_settings(cell),
        "synthetic": study.synthetic,
        "manifest_sha256": sha256_of(dataset / "manifest.csv"),
        "weights": {"source": source, "sha256": weights_sha256},
        "pretrained_on_synthetic": weights is not None and weights == study.pretrained_file(),
        "parameters": {"trained": trained, "total": total},
        "training_images": len(fitted.frame_ids),
        "validation_images": len(part.frame_ids) - len(fitted.frame_ids),
        "seed": cell.seed,
        "select_on": cell.select_on,
        "seconds": round(time.perf_counter() - started, 1),
        **about_software,
    }
    with whole_file(folder / "model.safetensors") as partial:
        save_checkpoint(model, partial, provenance)
    _write_history(study, cell, history)
    for evaluated in study.evaluated_on(cell.dataset):
        evaluate_cell(study, cell, model, evaluated)
    write_json(folder / "provenance.json", {**provenance, "checkpoint_sha256": sha256_of(folder / "model.safetensors")})


def _validation_score(study: Study, cell: Cell, part: Part, model: MultiTaskModel) -> float:
    """The mean of accuracy and mIoU on the validation part, of those that the model has."""
    predictions = predict(model, part.images, choose_device())
    activity = None if predictions.activity is None else predictions.activity.argmax(axis=1)
    measured = measure(part, part.masks, study.labels(cell.dataset), activity, predictions.masks)
    scores = [s["value"] for s in measured.scores if s["metric"] in ("accuracy", "miou") and not s["class"]]
    return float(np.mean(scores))


def model_settings(study: Study, cell: Cell, weights_sha256: str = "") -> ModelSettings:
    """The settings of a cell's model."""
    given = study.settings["backbones"][cell.backbone]
    file = study.weights_file(cell.backbone)
    weights = {"source": "file", "path": str(file), "sha256": weights_sha256} if file else {"source": given["weights"]}
    labels = study.labels(cell.dataset)
    lora = study.settings["lora"]
    return ModelSettings.from_dict(
        {
            "backbone": cell.backbone,
            "architecture": cell.architecture,
            "classes": labels.classes,
            "activities": labels.activities,
            "input_size": study.settings["input_size"],
            "backbone_settings": {
                "model": given["model"],
                "arguments": given["arguments"],
                "weights": weights,
                "output_stride": given["output_stride"],
                "lora_rank": cell.rank,
                "lora_alpha": lora["alpha"],
                "sma_width": given["sma_width"],
            },
            "architecture_settings": study.settings["architectures"].get(cell.architecture, {}),
            "heads": {
                "segmentation_channels": study.settings["heads"]["segmentation_channels"],
                "activity_channels": study.settings["heads"]["activity_channels"],
                "atrous_rates": study.settings["heads"].get("atrous_rates", ()),
            },
        }
    )


def evaluate_cell(study: Study, cell: Cell, model: MultiTaskModel, dataset: str) -> None:
    """Write eval/<dataset>/{metrics.json,per_image.parquet,masks.npz} of a trained cell."""
    folder = study.cell_folder(cell) / "eval" / dataset
    part = load_part(study.dataset_folder(dataset), "test", study.settings["input_size"])
    predictions = predict(model, part.images, choose_device())
    activity = None if predictions.activity is None else predictions.activity.argmax(axis=1)
    measured = measure(part, part.masks, study.labels(dataset), activity, predictions.masks)
    with whole_file(folder / "per_image.parquet") as partial:
        measured.per_image.to_parquet(partial, index=False)
    with whole_file(folder / "masks.npz") as partial, partial.open("wb") as stream:
        masks = np.empty((0, 0, 0), np.uint8) if predictions.masks is None else predictions.masks
        np.savez_compressed(stream, frame_id=np.array(part.frame_ids), masks=masks)
    write_json(folder / "metrics.json", {"protocol": PROTOCOL, "scores": measured.scores})


def initial_sha256(model: MultiTaskModel) -> str:
    """Hex SHA-256 of a backbone's values before training, adapters and front left out: what came from the hub."""
    added = ("shared_", "owned_")
    state = model.backbone.encoders.state_dict().items()
    return tensors_sha256((name, tensor) for name, tensor in state if not any(part in name for part in added))


def _write_history(study: Study, cell: Cell, history: list[dict[str, float]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: f"{v:.6g}" for k, v in row.items()} for row in history)
    write_text(study.cell_folder(cell) / "history.csv", text.getvalue())
