"""Evaluate models from elsewhere under a study's corruptions: a Python function, or masks that another program predicted."""

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
from pipeline.evaluation.corrupted_batches import CLEAN, CorruptedBatch, image_file
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
        study: its corruptions, severities and image size are used.
        dataset: the dataset whose test split is corrupted.
        label: name of the model in tables, by default the name of the function or of the folder of masks.
        out: folder of the results, by default results/<study>/predictors/<label>/<dataset>.
        workers: number of processes besides this one.
        with_cells: whether tables and figures also show the evaluated cells of the study.
    """

    study: Study
    dataset: str
    label: str | None = None
    out: Path | None = None
    workers: int = 0
    with_cells: bool = False


def evaluate_predictor(run: ExternalModelRun, predictor: str) -> Path:
    """Evaluate a function, and write its scores and rows.

    Args:
        run: what to evaluate on, and where to write.
        predictor: "module:function". The function runs in its own process and may import from the working directory. It takes uint8
            RGB images (N, S, S, 3). It returns a segmentation (float class scores (N, C, S, S) or class ids (N, S, S)), activities (float
            scores (N, K) or ids (N,)), or both as a tuple or as a mapping with the keys "segmentation" and "activity".

    Returns:
        The folder that was written.

    Raises:
        InputError: if the function is not found, fails, or returns anything else.
    """
    labels, size = labels_of(run.study, run.dataset), run.study.input_size
    with PredictorProcess(predictor, labels, size) as process:

        def predict(batch: CorruptedBatch, position: int) -> Prediction:
            assert batch.images is not None
            return process.predict(batch.images[position])

        identity = {"predictor": predictor, "sources_sha256": _digests(process.sources)}
        conditions = conditions_of(run.study)
        return _evaluate(run, run.label or predictor, predict, conditions, identity, sources=lambda: process.sources)


def evaluate_predictions(run: ExternalModelRun, folder: Path) -> Path:
    """Evaluate masks predicted on images that `corruptions apply --size <input size>` wrote. Write files as `evaluate_predictor` does.

    Masks of class ids are in <folder>/<corruption>/<severity>/[masks/]<frame>.png, those of clean images in <folder>/clean/0. Corruptions
    without a folder are left out. Activities are in an optional activity.csv with the columns corruption, severity, frame_id, activity.

    Raises:
        InputError: if masks or activities are missing or do not fit, or the images were corrupted with other settings than the study's.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder. Expected <corruption>/<severity>/<frame>.png in it, and clean/0.")
    study, conditions = run.study, conditions_of(run.study)
    present = tuple(name for name in conditions.corruptions if (folder / name).is_dir())
    if not present:
        raise InputError(
            f"{folder}: holds no folder named like a corruption; expected one or more of {', '.join(conditions.corruptions)}."
        )
    known = known_corruptions()
    unknown = sorted({path.name for path in folder.iterdir() if path.is_dir()} - {"clean", *known})
    if unknown:
        close = suggestion(unknown[0], known)
        raise InputError(f"{folder / unknown[0]}: no corruption has this name.{close} Known: {', '.join(known)}.")
    left_out = [name for name in conditions.corruptions if name not in present]
    if left_out:
        print(f"{folder}: no folder for {', '.join(left_out)}; tables leave these corruptions out.", file=sys.stderr)
    _check_copy(folder / "corruptions.json", conditions, study.input_size)
    conditions = replace(conditions, corruptions=present)
    split = load_split(dataset_folder(study, run.dataset), "test", study.input_size)
    stored = _StoredPredictions(folder, split, labels_of(study, run.dataset), conditions)
    identity = {"predictions": digest(stored.listing())}
    return _evaluate(run, run.label or folder.resolve().name, stored, conditions, identity, sees_images=False)


def _check_copy(path: Path, conditions: Conditions, size: int) -> None:
    """Raise InputError if corruptions.json, which `corruptions apply` writes, has other settings than the study."""
    if not path.is_file():
        return
    used = {"field_of_view": CORRUPT} | read_json(path)
    of_study = {key: getattr(conditions, key) for key in ("seed", "profile", "field_of_view")} | {"size": size}
    for key, expected in of_study.items():
        if used.get(key, expected) != expected:
            raise InputError(f"{path}: the copy was made with {key} {used[key]!r}; the study has {expected!r}.")


class _StoredPredictions:
    """A `Predictor` that reads masks and activities from files. Before it reads the first file, it checks that all exist."""

    def __init__(self, folder: Path, split: Split, labels: LabelSet, conditions: Conditions) -> None:
        self.split, self.labels = split, labels
        expected = [(CLEAN, 0), *((name, s) for name in conditions.corruptions for s in conditions.severities)]
        self.masks = {
            (name, severity, frame): self._find(folder, name, severity, frame)
            for name, severity in expected
            for frame in split.frame_ids
        }
        missing = [path for path in self.masks.values() if not path.exists()]
        if missing:
            raise InputError(
                f"{missing[0]}: this mask is missing; in all, {len(missing):,} of {len(self.masks):,} are missing. Expected one mask for "
                "each test frame (the dataset's manifest.csv names them) under each condition, and in clean/0."
            )
        self.activities = self._read_activities(folder / ACTIVITIES, expected)

    def _find(self, folder: Path, name: str, severity: int, frame: str) -> Path:
        in_masks = image_file(folder, name or "clean", severity, "masks", frame)
        return in_masks if in_masks.parent.is_dir() else in_masks.parent.parent / in_masks.name

    def _read_activities(
        self, path: Path, expected: Sequence[tuple[str, int]]
    ) -> dict[tuple[str, int, str], int] | None:
        if not path.is_file():
            return None
        rows = csv.DictReader(read_text(path).splitlines())
        columns = ["corruption", "severity", "frame_id", "activity"]
        if rows.fieldnames is None or not set(columns) <= set(rows.fieldnames):
            raise InputError(f"{path}: columns {rows.fieldnames}; expected {', '.join(columns)}.")
        activities = {}
        for line, row in enumerate(rows, start=2):
            name = "" if row["corruption"] in ("", "clean") else row["corruption"]
            if row["activity"] not in self.labels.activities or not re.fullmatch(r"\d+", row["severity"] or ""):
                raise InputError(
                    f"{path}, line {line}: {dict(row)}; expected a severity, and one of the activities "
                    f"{', '.join(self.labels.activities) or '(the dataset has none)'}."
                )
            activities[name, int(row["severity"]), row["frame_id"]] = self.labels.activities.index(row["activity"])
        for name, severity in expected:
            for frame in self.split.frame_ids:
                if (name, severity, frame) not in activities:
                    raise InputError(f"{path}: no activity of {frame} under {name or 'clean'}, severity {severity}.")
        return activities

    def listing(self) -> list[list[Any]]:
        """Return path, size and time of each mask file; they change when the file changes."""
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
                f"`corruptions apply --size {size}`, the input size of the study."
            )
        if mask.max() >= len(self.labels.classes):
            raise InputError(f"{path}: value {mask.max()}; expected class ids 0 to {len(self.labels.classes) - 1}.")
        return mask


def _evaluate(
    run: ExternalModelRun,
    label: str,
    predict: Predictor,
    conditions: Conditions,
    identity: dict[str, Any],
    sees_images: bool = True,
    sources: Callable[[], Sequence[Path]] | None = None,
) -> Path:
    """Evaluate a predictor. identity: entries of provenance that identify it. sources: returns the files that it has imported so far."""
    start, study, size = RunStart(), run.study, run.study.input_size
    source = dataset_folder(study, run.dataset)
    folder = run.out or results_folder(study) / StudyOutput.PREDICTORS / _folder_name(label) / run.dataset
    _check_free(RobustnessFiles.below(folder / CellOutput.ROBUSTNESS).provenance, label)
    split, labels = load_split(source, "test", size), labels_of(study, run.dataset)
    identity = {
        **identity,
        "label": label,
        "dataset": source.name,
        "manifest_sha256": sha256_of(source / "manifest.csv"),
    }
    key = digest([identity, size, str(conditions), code_sha256(code_of_robustness(__name__, study)), image_packages()])
    with resumable_folder(folder / "robustness", key) as unfinished:
        imported = _Sources(unfinished, sources) if sources is not None else None
        model = ModelUnderTest(label, imported.watch(predict) if imported else predict, unfinished, sees_images)
        evaluate([model], split, labels, conditions, run.workers)
        entries = {**about_run(study, start, [run.dataset]), **identity}
        entries |= {"seed": conditions.seed, "frames": len(split.frame_ids)}
        if imported:
            entries["sources_sha256"] = imported.finish()
        write_results(model, conditions, labels, entries, timed=sees_images)
    remove_parts(folder / "robustness")
    return folder


def _digests(files: Sequence[Path]) -> dict[str, str]:
    return {os.path.relpath(path): sha256_of(path) for path in files}


class _Sources:
    """Digests of the source files that a predictor has imported, stored in the folder of the unfinished evaluation.

    If a source file has changed since an interrupted evaluation, its measurements are removed, so that old and new code are not mixed.
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
        """Return a predictor with the same predictions. After each call it stores digests of newly imported files."""

        def watched(batch: CorruptedBatch, position: int) -> Prediction:
            prediction = predict(batch, position)
            new = [path for path in self._files() if os.path.relpath(path) not in self._digests]
            if new:
                self._digests |= _digests(new)
                write_json(self._path, self._digests)
            return prediction

        return watched

    def finish(self) -> dict[str, str]:
        """Return the digests of all files by name, and remove the file that stores them."""
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
