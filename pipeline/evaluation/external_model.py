"""Evaluate models that are not cells of a study under its corruptions: a Python function, or masks that were predicted elsewhere."""

from __future__ import annotations

import csv
import os
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corruptions import known_corruptions
from corruptions.field_of_view import CORRUPT
from endoarss.errors import suggestion
from pipeline.datasets.load import Split, load_split
from pipeline.errors import InputError
from pipeline.evaluation.corrupted_batches import CLEAN, CorruptedBatch, picture_of
from pipeline.evaluation.evaluate_robustness import write_results
from pipeline.evaluation.predictor_process import PredictorProcess
from pipeline.evaluation.robustness import ModelUnderTest, Prediction, Predictor, evaluate, remove_parts
from pipeline.io.files import read_json, read_text, resumable_folder, write_json
from pipeline.io.hashing import digest, sha256_of
from pipeline.io.images import read_ids
from pipeline.io.import_closure import code_sha256
from pipeline.labels.classes import LabelSet
from pipeline.results.paths import CellOutput, RobustnessFiles, StudyOutput
from pipeline.results.provenance import RunStart, about_run, image_packages
from pipeline.study.conditions import Conditions, conditions_of
from pipeline.study.datasets import labels_of
from pipeline.study.folders import dataset_folder, results_folder
from pipeline.study.models import Study
from pipeline.workflow.step_code import code_of_robustness

ACTIVITIES = "activity.csv"


@dataclass(frozen=True)
class ExternalModelRun:
    """What an external model is evaluated on, and where its results are written.

    Attributes:
        study: decides the corruptions and severities.
        dataset: the dataset whose test split is corrupted.
        label: name of the model in tables, by default its own name.
        out: folder to write, by default results/<study>/predictors/<label>/<dataset>.
        workers: number of processes besides this one.
        with_cells: whether tables and figures also show the evaluated cells of the study.
    """

    study: Study
    dataset: str
    label: str | None = None
    out: Path | None = None
    workers: int = 0
    with_cells: bool = False


def evaluate_predictor(asked: ExternalModelRun, predictor: str) -> Path:
    """Evaluate a function, and write its scores and rows.

    Args:
        asked: what to evaluate on, and where to write.
        predictor: "module:function". The function runs in its own process and may import from the working directory. It gets uint8
            RGB images (N, S, S, 3) and returns float scores of classes (N, C, S, S) or class ids (N, S, S), float scores of activities
            (N, K) or their ids (N,), or both as a tuple or a mapping of "segmentation" and "activity".

    Returns:
        The folder that was written.

    Raises:
        InputError: if the function is not found, fails, or returns something else.
    """
    labels, size = labels_of(asked.study, asked.dataset), asked.study.input_size
    with PredictorProcess(predictor, labels, size) as process:

        def predict(batch: CorruptedBatch, position: int) -> Prediction:
            assert batch.images is not None
            return process.predict(batch.images[position])

        about = {"predictor": predictor, "sources_sha256": _digests(process.sources)}
        conditions = conditions_of(asked.study)
        return _evaluate(asked, asked.label or predictor, predict, conditions, about, sources=lambda: process.sources)


def evaluate_predictions(asked: ExternalModelRun, folder: Path) -> Path:
    """Evaluate masks that were predicted on a copy by `corruptions apply --size <input size>`; write as `evaluate_predictor` does.

    <folder>/<corruption>/<severity>/[masks/]<frame>.png holds class ids, and clean/0 those of the clean images. Corruptions without a
    folder are left out. An optional activity.csv holds the activities: corruption, severity, frame_id, activity.

    Raises:
        InputError: if masks are missing or do not fit.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder. Expected <corruption>/<severity>/<frame>.png in it, and clean/0.")
    study, conditions = asked.study, conditions_of(asked.study)
    given = tuple(name for name in conditions.corruptions if (folder / name).is_dir())
    if not given:
        raise InputError(
            f"{folder}: holds no folder of a corruption; expected some of {', '.join(conditions.corruptions)}."
        )
    known = known_corruptions()
    unknown = sorted({path.name for path in folder.iterdir() if path.is_dir()} - {"clean", *known})
    if unknown:
        close = suggestion(unknown[0], known)
        raise InputError(f"{folder / unknown[0]}: no corruption has this name.{close} Known: {', '.join(known)}.")
    left_out = [name for name in conditions.corruptions if name not in given]
    if left_out:
        print(f"{folder}: no folder of {', '.join(left_out)}; tables leave them out.", file=sys.stderr)
    _check_copy(folder / "corruptions.json", conditions, study.input_size)
    conditions = replace(conditions, corruptions=given)
    split = load_split(dataset_folder(study, asked.dataset), "test", study.input_size)
    stored = _StoredPredictions(folder, split, labels_of(study, asked.dataset), conditions)
    about = {"predictions": digest(stored.listing())}
    return _evaluate(asked, asked.label or folder.resolve().name, stored, conditions, about, sees_images=False)


def _check_copy(path: Path, conditions: Conditions, size: int) -> None:
    """Raise InputError if corruptions.json next to the masks says that the copy was made with settings other than the study's."""
    if not path.is_file():
        return
    used = {"field_of_view": CORRUPT} | read_json(path)
    wanted_of_copy = {key: getattr(conditions, key) for key in ("seed", "profile", "field_of_view")} | {"size": size}
    for key, wanted in wanted_of_copy.items():
        if used.get(key, wanted) != wanted:
            raise InputError(f"{path}: the copy was made with {key} {used[key]!r}; the study has {wanted!r}.")


class _StoredPredictions:
    """Predicts by reading masks and activities from files. It checks that all files exist before it reads the first."""

    def __init__(self, folder: Path, split: Split, labels: LabelSet, conditions: Conditions) -> None:
        self.split, self.labels = split, labels
        wanted = [(CLEAN, 0), *((name, s) for name in conditions.corruptions for s in conditions.severities)]
        self.masks = {
            (name, severity, frame): self._find(folder, name, severity, frame)
            for name, severity in wanted
            for frame in split.frame_ids
        }
        lost = [path for path in self.masks.values() if not path.exists()]
        if lost:
            raise InputError(
                f"{lost[0]}: this mask is missing, and {len(lost) - 1:,} others of {len(self.masks):,}. Expected one for each "
                f"test frame (the dataset's manifest.csv names them) under each condition, and under clean/0."
            )
        self.activities = self._read_activities(folder / ACTIVITIES, wanted)

    def _find(self, folder: Path, name: str, severity: int, frame: str) -> Path:
        below = picture_of(folder, name or "clean", severity, "masks", frame)
        without_masks = below.parent.parent / below.name
        return below if below.parent.is_dir() else without_masks

    def _read_activities(self, path: Path, wanted: Sequence[tuple[str, int]]) -> dict[tuple[str, int, str], int] | None:
        if not path.is_file():
            return None
        rows = csv.DictReader(read_text(path).splitlines())
        columns = ["corruption", "severity", "frame_id", "activity"]
        if rows.fieldnames is None or not set(columns) <= set(rows.fieldnames):
            raise InputError(f"{path}: columns {rows.fieldnames}; expected {', '.join(columns)}.")
        found = {}
        for line, row in enumerate(rows, start=2):
            name = "" if row["corruption"] in ("", "clean") else row["corruption"]
            if row["activity"] not in self.labels.activities or not re.fullmatch(r"\d+", row["severity"] or ""):
                raise InputError(
                    f"{path}, line {line}: {dict(row)}; expected a severity, and one of the activities "
                    f"{', '.join(self.labels.activities) or '(the dataset has none)'}."
                )
            found[name, int(row["severity"]), row["frame_id"]] = self.labels.activities.index(row["activity"])
        for name, severity in wanted:
            for frame in self.split.frame_ids:
                if (name, severity, frame) not in found:
                    raise InputError(f"{path}: no activity of {frame} under {name or 'clean'}, severity {severity}.")
        return found

    def listing(self) -> list[list[Any]]:
        """Return what changes when mask files change: path, size and time of each."""
        stats = [(path, path.stat()) for path in self.masks.values()]
        return [[str(path), stat.st_size, stat.st_mtime_ns] for path, stat in stats]

    def __call__(self, batch: CorruptedBatch, position: int) -> Prediction:
        severity = batch.severities[position]
        frames = [self.split.frame_ids[i] for i in batch.index]
        masks = np.stack([self._read(self.masks[batch.name, severity, frame]) for frame in frames])
        if self.activities is None:
            return None, masks
        return np.array([self.activities[batch.name, severity, frame] for frame in frames]), masks

    def _read(self, path: Path) -> NDArray[np.uint8]:
        mask, size = read_ids(path, strictly=True), self.split.masks.shape[1]
        if mask.shape != (size, size):
            raise InputError(
                f"{path}: {mask.shape[1]}x{mask.shape[0]} pixels; expected {size}x{size}. Make the copy with "
                f"`corruptions apply --size {size}`, the size at which this benchmark evaluates."
            )
        if mask.max() >= len(self.labels.classes):
            raise InputError(f"{path}: value {mask.max()}; expected class ids 0 to {len(self.labels.classes) - 1}.")
        return mask


def _evaluate(
    asked: ExternalModelRun,
    label: str,
    predict: Predictor,
    conditions: Conditions,
    about: dict[str, Any],
    sees_images: bool = True,
    sources: Callable[[], Sequence[Path]] | None = None,
) -> Path:
    run, study, size = RunStart(), asked.study, asked.study.input_size
    source = dataset_folder(study, asked.dataset)
    folder = asked.out or results_folder(study) / StudyOutput.PREDICTORS / _folder_name(label) / asked.dataset
    _check_free(RobustnessFiles.below(folder / CellOutput.ROBUSTNESS).provenance, label)
    split, labels = load_split(source, "test", size), labels_of(study, asked.dataset)
    about = {**about, "label": label, "dataset": source.name, "manifest_sha256": sha256_of(source / "manifest.csv")}
    key = digest([about, size, str(conditions), code_sha256(code_of_robustness(__name__, study)), image_packages()])
    with resumable_folder(folder / "robustness", key) as done:
        imported = _Sources(done, sources) if sources is not None else None
        model = ModelUnderTest(label, imported.watch(predict) if imported else predict, done, sees_images)
        evaluate([model], split, labels, conditions, asked.workers)
        more = {"seed": conditions.seed, "frames": len(split.frame_ids)}
        whole = {**about_run(study, run, [asked.dataset]), **about, **more}
        if imported:
            whole["sources_sha256"] = imported.finish()
        write_results(model, conditions, labels, whole, timed=sees_images)
    remove_parts(folder / "robustness")
    return folder


def _digests(files: Sequence[Path]) -> dict[str, str]:
    return {os.path.relpath(path): sha256_of(path) for path in files}


class _Sources:
    """The source files that a predictor has imported, stored in the folder of an evaluation that may be interrupted.

    If one of them has changed since, earlier measurements are removed, so that predictions of old and new code are not mixed.
    """

    def __init__(self, folder: Path, files: Callable[[], Sequence[Path]]) -> None:
        self._path, self._files = folder / ".sources.json", files
        self._digests: dict[str, str] = {}
        if self._path.is_file():
            earlier = read_json(self._path)
            if any(not Path(name).is_file() or sha256_of(Path(name)) != digest for name, digest in earlier.items()):
                for path in folder.iterdir():
                    if path.name != ".key":
                        shutil.rmtree(path) if path.is_dir() else path.unlink()
            else:
                self._digests = earlier

    def watch(self, predict: Predictor) -> Predictor:
        """Return a predictor with the same predictions that notes the imported files after each call."""

        def watched(batch: CorruptedBatch, position: int) -> Prediction:
            found = predict(batch, position)
            new = [path for path in self._files() if os.path.relpath(path) not in self._digests]
            if new:
                self._digests |= _digests(new)
                write_json(self._path, self._digests)
            return found

        return watched

    def finish(self) -> dict[str, str]:
        """Return the digests of all files by name, and remove the stored ones."""
        self._path.unlink(missing_ok=True)
        return dict(sorted(self._digests.items()))


def _folder_name(label: str) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", label).strip("._")
    if not name:
        raise InputError(f"--label {label!r}: expected a name with letters or digits.")
    return name


def _check_free(path: Path, label: str) -> None:
    """Raise InputError if the folder holds the results of another model."""
    owner = read_json(path).get("label") if path.is_file() else label
    if owner != label:
        raise InputError(f"{path.parent}: holds the results of {owner!r}. Choose another --label or --out.")
