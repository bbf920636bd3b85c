"""Train one cell, predict on its test splits, and write the results, all in one process, because imports take seconds."""

from __future__ import annotations

import csv
import functools
import io
import shutil
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from endoarss.checkpoints import save_checkpoint, tensors_sha256
from endoarss.data import LabelledImages
from endoarss.devices import choose_device, memory_explained, reset_peak_memory
from endoarss.models import MultiTaskModel, build_model
from endoarss.resume import ResumeFolder
from endoarss.tensorboard import event_writer
from endoarss.training import History, seed_everything, train
from pipeline.datasets.load import Split, load_split, split_validation
from pipeline.datasets.preprocessing import preprocessing_of
from pipeline.errors import InputError
from pipeline.evaluation.predict_cell import cost_of_inference, predict_cell, save_predictions
from pipeline.io.files import whole_files
from pipeline.io.hashing import digest, sha256_of
from pipeline.redaction import masked_settings
from pipeline.results.cell_state import failure_recorded
from pipeline.results.paths import CellOutput, dataset_files, history_file
from pipeline.results.provenance import RunStart, about_run, software, write_provenance
from pipeline.study.cell import Cell
from pipeline.study.cells import find_cell
from pipeline.study.datasets import evaluated_on
from pipeline.study.fingerprints import cell_settings
from pipeline.study.folders import cell_folder, dataset_folder, pretrained_file, weights_file
from pipeline.study.models import Study
from pipeline.training.model_settings import describe, model_settings, training_settings
from pipeline.training.validation_score import validation_score
from pipeline.workflow.step_code import training_code_sha256


def train_by_id(study: Study, cell: str) -> None:
    """Train the cell with this id, as `train_cell` does. If that fails, save the reason for reports and `endoarss status`.

    Raises:
        InputError: if the study has no such cell, or the cell is a merged model.
    """
    training = find_cell(study, cell)
    if training.merger:
        raise InputError(f"{training.id} is merged, not trained. Use endoarss merge.")
    with failure_recorded(study, training):
        train_cell(study, training)


def train_cell(study: Study, cell: Cell) -> None:
    """Train a cell and write its checkpoint, history, provenance and predictions.

    A stopped training continues from its last saved epoch if settings, data, code, torch and device are the same.

    Raises:
        InputError: if a dataset is not built.
        SettingsError: if the model cannot be built.
        TrainingError: if a loss is not finite, or memory runs out.
    """
    run, device = RunStart(), choose_device()
    split = load_split(dataset_folder(study, cell.dataset), "train", study.input_size)
    model, weights = _build(study, cell)
    about_software = software()
    decisions = {
        "settings": cell_settings(study, cell),
        "manifest_sha256": sha256_of(dataset_files(study, cell.dataset)[0]),
        "weights": weights,
    }
    key = digest(
        {
            **decisions,
            "code": training_code_sha256(study, cell),
            "torch": torch.__version__,
            "device": about_software["device"],
        }
    )
    resume = ResumeFolder(cell_folder(study, cell) / CellOutput.RESUME, key)
    fitted, validate = _fitted_and_validation(study, cell, split)
    _remove_earlier_provenance(study, cell, continues=resume.folder.exists())
    data = LabelledImages(fitted.images, fitted.masks, fitted.activities)
    settings, observe = training_settings(study, cell), _tensorboard(study, cell)
    started = time.perf_counter()
    reset_peak_memory(device)
    choose = cell.select_on != "last"
    history = train(model, data, settings, device, cell.id, validate, choose, resume, observe)
    seconds = round(time.perf_counter() - started, 1)
    origin = {**_origin(study, cell, model, split, fitted), **decisions, **about_software}
    with memory_explained(cell.id, device, "input_size, sma_width of the backbone, training.cells_per_gpu") as where:
        where[0] = "its predictions"
        predictions = predict_cell(study, cell, model)
        cost = {"training": _cost_of_training(history), "inference": cost_of_inference(study, cell, model)}
    with whole_files() as temporary:
        checkpoint = temporary(cell_folder(study, cell) / CellOutput.CHECKPOINT)
        save_checkpoint(model, checkpoint, masked_settings(origin))
        temporary(history_file(study, cell)).write_text(_as_csv(history), encoding="utf-8", newline="\n")
        provenance = {
            **about_run(study, run, evaluated_on(study, cell.dataset)),
            **origin,
            "training_seconds": seconds,
            "cost": cost,
            "checkpoint_sha256": sha256_of(checkpoint),
            "predictions_sha256": save_predictions(study, cell, predictions, temporary),
        }
        write_provenance(temporary(cell_folder(study, cell) / CellOutput.PROVENANCE), provenance)
    resume.remove()


def _build(study: Study, cell: Cell) -> tuple[MultiTaskModel, dict[str, str]]:
    """Return the untrained model, and source and SHA-256 of its initial weights."""
    file = weights_file(study, cell.backbone)
    sha256 = sha256_of(file) if file is not None and file.is_file() else ""
    seed_everything(cell.seed)
    model = build_model(model_settings(study, cell, sha256))
    print(f"{cell.id}: {describe(model)}", flush=True)
    source = model.settings.backbone_settings.weights.source
    return model, {"source": source, "sha256": initial_sha256(model) if source == "hub" else sha256}


def _remove_earlier_provenance(study: Study, cell: Cell, continues: bool) -> None:
    """Remove the provenance of an earlier training, and its TensorBoard files unless this training continues the earlier one."""
    folder = cell_folder(study, cell)
    if not continues:
        shutil.rmtree(folder / CellOutput.TENSORBOARD, ignore_errors=True)
    (folder / CellOutput.PROVENANCE).unlink(missing_ok=True)


def _origin(study: Study, cell: Cell, model: MultiTaskModel, split: Split, fitted: Split) -> dict[str, Any]:
    """Return entries for the checkpoint's header: without time, commit and name of the study, so that equal models give equal files."""
    weights = weights_file(study, cell.backbone)
    trained, total = model.count_parameters()
    return {
        "cell": cell.id,
        "preprocessing": preprocessing_of(dataset_folder(study, cell.dataset), split.images).to_dict(),
        "synthetic": study.synthetic,
        "pretrained_on_synthetic": weights is not None and weights == pretrained_file(study),
        "parameters": {"trained": trained, "total": total},
        "training_images": len(fitted.frame_ids),
        "validation_images": len(split.frame_ids) - len(fitted.frame_ids),
        "seed": cell.seed,
        "select_on": cell.select_on,
    }


def _fitted_and_validation(
    study: Study, cell: Cell, split: Split
) -> tuple[Split, Callable[[MultiTaskModel], float] | None]:
    """Return the frames to train on, and the function that scores an epoch (None if no epoch is scored)."""
    dataset = dataset_folder(study, cell.dataset)
    if cell.select_on == "last" and study.training.score_every is None:
        return split, None
    if cell.select_on in ("last", "test"):
        # With "last", test scores are only written to the history. With "test", they choose the epoch, as in the authors' code.
        test_split = load_split(dataset, "test", study.input_size)
        return split, functools.partial(validation_score, study, cell.dataset, test_split)
    fitted, held_out = split_validation(dataset, split)
    return fitted, functools.partial(validation_score, study, cell.dataset, held_out)


def _tensorboard(study: Study, cell: Cell) -> Callable[[dict[str, float]], None] | None:
    if not study.training.tensorboard:
        return None
    return event_writer(cell_folder(study, cell) / CellOutput.TENSORBOARD)


def _cost_of_training(history: History) -> dict[str, float]:
    """Return median images per second, and peak memory in MiB. If there are several epochs, the first is not timed: it selects kernels."""
    timed = history[1:] or history
    return {
        "images_per_second": statistics.median(row["images_per_second"] for row in timed),
        "memory_mib": max(row["memory_mib"] for row in history),
    }


def initial_sha256(model: MultiTaskModel) -> str:
    """Return the hex SHA-256 of the weights of an untrained backbone from the hub, without adapters and SMA."""
    added = ("shared_", "owned_")  # parts of the names of tensors of adapters and SMA
    state = model.backbone.encoders.state_dict().items()
    return tensors_sha256((name, tensor) for name, tensor in state if not any(part in name for part in added))


def _as_csv(history: History) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(history[-1]), lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows({k: f"{v:.6g}" for k, v in row.items()} for row in history)
    return text.getvalue()
