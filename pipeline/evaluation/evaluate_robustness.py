"""Evaluate trained cells, clean and under every corruption and severity."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from corruptions import backend_of
from endoarss.devices import choose_device
from endoarss.metrics import STANDARD
from endoarss.models import MultiTaskModel
from endoarss.prediction import predict_ready
from pipeline.datasets.load import load_part
from pipeline.errors import InputError
from pipeline.evaluation import robustness
from pipeline.evaluation.corrupted_batches import Piece
from pipeline.evaluation.corruption_cache import about_cache, cached_images
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
    """Evaluate the cells with these ids, see `evaluate_robustness`; if that fails, keep the reason for reports and status.

    Raises:
        InputError: if the study has no such cell, or it is not merged yet.
    """
    found = [find_cell(study, cell_id) for cell_id in dict.fromkeys(cells)]
    for cell in found:
        check_made(study, cell)
    with robustness_failure_recorded(study, found):
        evaluate_robustness(study, found, workers)


def evaluate_robustness(study: Study, cells: Sequence[Cell], workers: int) -> None:
    """Write robustness/{metrics.json,per_image.parquet,gallery.npz,provenance.json} of trained cells of one dataset.

    The images are resized to the model's input, then corrupted, once for all the cells. Where a corruption moves pixels the masks
    move along; the scores against the unmoved masks are kept beside them, told apart by `mask_warped`. An interrupted evaluation
    goes on at the corruption that it had begun.

    Args:
        study: it says what is applied. cells: models of one dataset. workers: processes beside this one.

    Raises:
        InputError: if the dataset is not built, or the cells are of several. SettingsError: if a checkpoint cannot be loaded.
    """
    run, datasets = provenance.RunStart(), {cell.dataset for cell in cells}
    if len(datasets) != 1:
        raise InputError(f"cells of the datasets {', '.join(sorted(datasets))}; expected those of one at a time.")
    dataset = datasets.pop()
    conditions, labels = conditions_of(study), labels_of(study, dataset)
    part = load_part(dataset_folder(study, dataset), "test", study.input_size)
    cached = cached_images(study, dataset) if keeps_corrupted(study) else None
    with ExitStack() as stack:
        subjects, checkpoints = [], [cell_folder(study, cell) / CellOutput.CHECKPOINT for cell in cells]
        for cell in cells:
            model = load_cell(study, cell)
            model.precision = "float32"
            folder = cell_folder(study, cell) / CellOutput.ROBUSTNESS
            done = stack.enter_context(resumable_folder(folder, _key(study, cell)))
            subjects.append(robustness.Subject(cell.id, ModelAnswers(model), done))
        robustness.evaluate(subjects, part, labels, conditions, workers, cached)
        for cell, subject, checkpoint in zip(cells, subjects, checkpoints, strict=True):
            about = {
                **provenance.about_run(study, run, [dataset]),
                "cell": cell.id,
                "seed": conditions.seed,
                "checkpoint_sha256": sha256_of(checkpoint),
                "frames": len(part.frame_ids),
                # Those that saw the same corrupted images: seconds are of all of them together.
                "models_together": len(cells),
            }
            write_results(subject, conditions, labels, about)
    for cell in cells:
        robustness.remove_parts(cell_folder(study, cell) / CellOutput.ROBUSTNESS)


def _key(study: Study, cell: Cell) -> str:
    """Other for other conditions, images, weights or code: what was measured then is not mixed with what is measured now."""
    code = code_sha256(code_of_robustness(__name__, study, cell))
    checkpoint = sha256_of(cell_folder(study, cell) / CellOutput.CHECKPOINT)
    return digest([about_cache(study, cell.dataset), checkpoint, code, provenance.software()["packages"]])


def write_results(
    subject: robustness.Subject, conditions: Conditions, labels: LabelSet, about: dict[str, Any], timed: bool = True
) -> None:
    """Write metrics.json, per_image.parquet, gallery.npz and provenance.json into a subject's folder, from its parts, which stay.

    Args:
        about: what provenance.json says besides conditions and latency. timed: whether the answers were computed just now.
    """
    rows, latency = robustness.gather(subject, conditions)
    robustness.gather_gallery(subject, conditions)
    scores = robustness.scores_by_condition(rows, labels)
    files = RobustnessFiles.below(subject.done)
    with whole_file(files.rows) as partial:
        rows.to_parquet(partial, index=False)
    backends = {name: backend_of(name, profile=conditions.profile) for name in conditions.corruptions}
    write_json(files.scores, {"protocol": STANDARD, "backends": backends, "scores": scores})
    about |= {"per_image_sha256": sha256_of(files.rows)}
    tested = {key: value for key, value in conditions.as_dict().items() if key != "corruptions"}
    provenance.write_provenance(
        files.provenance, {**about, "conditions": tested, **({"latency_ms": latency} if timed else {})}
    )


class ModelAnswers:
    """A trained model that answers."""

    def __init__(self, model: MultiTaskModel) -> None:
        self.device = choose_device()
        self.model = model.to(self.device).eval()

    def __call__(self, piece: Piece, position: int) -> robustness.Answer:
        assert piece.images is not None
        predictions = predict_ready(self.model, piece.images[position], self.device)
        activity = None if predictions.activity is None else predictions.activity.argmax(axis=1)
        return activity, predictions.masks
