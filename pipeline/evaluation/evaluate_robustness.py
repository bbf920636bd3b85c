"""Evaluate trained cells on clean images and under every corruption and severity."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from corruptions import backend_of
from endoarss.devices import choose_device
from endoarss.metrics import STANDARD
from endoarss.models import MultiTaskModel
from endoarss.prediction import predict_ready
from pipeline.datasets.load import load_split
from pipeline.errors import InputError
from pipeline.evaluation import robustness
from pipeline.evaluation.corrupted_batches import CorruptedBatch
from pipeline.evaluation.corruption_cache import cache_settings, cached_images
from pipeline.io.files import resumable_folder, whole_file, write_json
from pipeline.io.hashing import digest, sha256_of
from pipeline.io.import_closure import code_sha256
from pipeline.labels.classes import LabelSet
from pipeline.results import provenance
from pipeline.results.cell_state import check_made, robustness_failure_recorded
from pipeline.results.checkpoints import load_cell
from pipeline.results.paths import CellOutput, RobustnessFiles
from pipeline.study.cell import Cell
from pipeline.study.cells import find_cell
from pipeline.study.conditions import Conditions, conditions_of
from pipeline.study.datasets import labels_of
from pipeline.study.folders import cell_folder, dataset_folder
from pipeline.study.models import Study
from pipeline.study.robust_models import keeps_corrupted
from pipeline.workflow.step_code import code_of_robustness


def evaluate_robustness_of(study: Study, cells: Sequence[str], workers: int) -> None:
    """Evaluate cells by id, as `evaluate_robustness` does. If that fails, save the reason for reports and `endoarss status`.

    Raises:
        InputError: if the study has no such cell, or the cell is not merged yet; and as for `evaluate_robustness`.
    """
    models = [find_cell(study, cell_id) for cell_id in dict.fromkeys(cells)]
    for cell in models:
        check_made(study, cell)
    with robustness_failure_recorded(study, models):
        evaluate_robustness(study, models, workers)


def evaluate_robustness(study: Study, cells: Sequence[Cell], workers: int) -> None:
    """Write robustness/{metrics.json,per_image.parquet,gallery.npz,provenance.json} of trained cells of one dataset.

    The images are resized to the study's input size and then corrupted, once for all cells. If a corruption moves the masks, scores
    against the unmoved masks are stored too, with `mask_warped` false. An interrupted evaluation continues with the corruption that was
    not finished.

    Args:
        study: its corruptions and severities are used.
        cells: trained or merged models of one dataset.
        workers: number of processes besides this one.

    Raises:
        InputError: if the dataset is not built, or the cells belong to several datasets.
        SettingsError: if a checkpoint cannot be loaded.
    """
    run, datasets = provenance.RunStart(), {cell.dataset for cell in cells}
    if len(datasets) != 1:
        raise InputError(f"cells of the datasets {', '.join(sorted(datasets))}; expected cells of one dataset.")
    dataset = datasets.pop()
    conditions, labels = conditions_of(study), labels_of(study, dataset)
    split = load_split(dataset_folder(study, dataset), "test", study.input_size)
    cached = cached_images(study, dataset) if keeps_corrupted(study) else None
    with ExitStack() as stack:
        models, checkpoints = [], [cell_folder(study, cell) / CellOutput.CHECKPOINT for cell in cells]
        for cell in cells:
            loaded = load_cell(study, cell)
            loaded.precision = "float32"
            final = cell_folder(study, cell) / CellOutput.ROBUSTNESS
            folder = stack.enter_context(resumable_folder(final, _key(study, cell)))
            models.append(robustness.ModelUnderTest(cell.id, ModelPredictor(loaded), folder))
        robustness.evaluate(models, split, labels, conditions, workers, cached)
        for cell, model, checkpoint in zip(cells, models, checkpoints, strict=True):
            entries = {
                **provenance.about_run(study, run, [dataset]),
                "cell": cell.id,
                "seed": conditions.seed,
                "checkpoint_sha256": sha256_of(checkpoint),
                "frames": len(split.frame_ids),
                # The number of models in this evaluation. The seconds in provenance are those of all these models together.
                "models_together": len(cells),
            }
            write_results(model, conditions, labels, entries)
    for cell in cells:
        robustness.remove_parts(cell_folder(study, cell) / CellOutput.ROBUSTNESS)


def _key(study: Study, cell: Cell) -> str:
    """Return a digest of all that decides the measurements; only measurements with the same digest are continued."""
    code = code_sha256(code_of_robustness(__name__, study, cell))
    checkpoint = sha256_of(cell_folder(study, cell) / CellOutput.CHECKPOINT)
    return digest([cache_settings(study, cell.dataset), checkpoint, code, provenance.software()["packages"]])


def write_results(
    model: robustness.ModelUnderTest,
    conditions: Conditions,
    labels: LabelSet,
    entries: dict[str, Any],
    timed: bool = True,
) -> None:
    """Write metrics.json, per_image.parquet, gallery.npz and provenance.json of a model from the files per corruption, which stay.

    Args:
        model: the model under test; all conditions are measured.
        conditions: the corruptions and severities.
        labels: classes and activities of the dataset.
        entries: entries of provenance.json besides conditions and latency.
        timed: whether the model itself predicted, so that its latency is known.
    """
    rows, latency = robustness.gather(model, conditions)
    robustness.gather_gallery(model, conditions)
    scores = robustness.scores_by_condition(rows, labels)
    files = RobustnessFiles.below(model.folder)
    with whole_file(files.rows) as partial:
        rows.to_parquet(partial, index=False)
    backends = {name: backend_of(name, profile=conditions.profile) for name in conditions.corruptions}
    write_json(files.scores, {"protocol": STANDARD, "backends": backends, "scores": scores})
    entries |= {"per_image_sha256": sha256_of(files.rows)}
    without_names = {key: value for key, value in conditions.as_dict().items() if key != "corruptions"}
    provenance.write_provenance(
        files.provenance, {**entries, "conditions": without_names, **({"latency_ms": latency} if timed else {})}
    )


class ModelPredictor:
    """A `robustness.Predictor` that runs a trained model."""

    def __init__(self, model: MultiTaskModel) -> None:
        self.device = choose_device()
        self.model = model.to(self.device).eval()

    def __call__(self, batch: CorruptedBatch, position: int) -> robustness.Prediction:
        assert batch.images is not None
        predictions = predict_ready(self.model, batch.images[position], self.device)
        activity = None if predictions.activity is None else predictions.activity.argmax(axis=1)
        return activity, predictions.masks
