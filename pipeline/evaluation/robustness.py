"""Measure models under corruption. Each image is corrupted once for all models. Other processes corrupt while the models predict."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from endoarss.metrics import STANDARD, measure_mask
from endoarss.metrics.catalogue import metrics_by_name
from pipeline.datasets.load import Split
from pipeline.evaluation.corrupted_batches import (
    CLEAN,
    CorruptedBatch,
    corrupted_batches,
    progress_bar,
)
from pipeline.evaluation.measure import rows_of_images
from pipeline.evaluation.scores import columns_of_numbers, scores_of_columns
from pipeline.io.files import read_json, whole_file, write_json
from pipeline.io.processes import processes
from pipeline.io.saved_files import read_table
from pipeline.labels.classes import LabelSet
from pipeline.results.gallery import SIZE as GALLERY_SIZE
from pipeline.results.gallery import read_gallery, representative, shown_severities, write_gallery
from pipeline.results.paths import RobustnessFiles
from pipeline.study.conditions import Conditions

_PARTS = ".parts"  # the folder of files per corruption, which an interrupted evaluation continues from

Prediction = tuple[NDArray[np.int64] | None, NDArray[np.uint8] | None]


class Predictor(Protocol):
    """A function that predicts the images of a batch at one severity."""

    def __call__(self, batch: CorruptedBatch, position: int) -> Prediction:
        """Return activities (N,) and masks (N, S, S) at batch.severities[position]; None for a task that the model does not solve."""


@dataclass(frozen=True)
class ModelUnderTest:
    """A model that is evaluated under corruption.

    Attributes:
        label: name in messages.
        predict: its predictor.
        folder: folder of its results, empty or from an interrupted evaluation; `.parts` in it holds two or three files per corruption.
        sees_images: whether the predictor needs the images.
    """

    label: str
    predict: Predictor
    folder: Path
    sees_images: bool = True

    def part(self, name: str, suffix: str) -> Path:
        """Return the path of a file of one corruption.

        Args:
            name: the corruption, "" for clean images.
            suffix: parquet (rows), npz (masks of the gallery images) or json (number of predicted images, and seconds).
        """
        return self.folder / _PARTS / f"{name or 'clean'}.{suffix}"

    def lacks(self, name: str) -> bool:
        """Return whether a corruption is not measured completely. Its rows are the last file to be written."""
        return not self.part(name, "parquet").is_file()


def evaluate(
    models: Sequence[ModelUnderTest],
    split: Split,
    labels: LabelSet,
    conditions: Conditions,
    workers: int,
    cache: Path | None = None,
) -> None:
    """Measure models on clean images and under each corruption at each severity. Corruptions that are measured already are left out.

    Args:
        models: the models.
        split: the images and masks.
        labels: classes and activities of the dataset.
        conditions: the corruptions and severities.
        workers: number of processes that corrupt and measure; with 0 this process does it.
        cache: a folder with the corrupted images, as for `corrupted_batches`.
    """
    names = [name for name in (CLEAN, *conditions.corruptions) if any(model.lacks(name) for model in models)]
    title = f"robustness of {models[0].label if len(models) == 1 else f'{len(models)} models'}"
    with_images = any(model.sees_images for model in models)
    gallery = representative(split, GALLERY_SIZE)
    with processes(workers) as pool, progress_bar(title, split, conditions, names) as progress:
        unfinished: list[_Measurements] = []
        for batch in corrupted_batches(split, conditions, names, pool, workers, with_images, cache):
            if batch.index.start == 0:
                unfinished = [_Measurements(model, gallery) for model in models if model.lacks(batch.name)]
            images = slice(batch.index.start, batch.index.stop)
            unmoved = np.array(split.masks[images]) if conditions.moves_masks(batch.name) else None
            for measurements in unfinished:
                measurements.add(batch, unmoved, pool, len(labels.classes))
            progress.update(len(batch.index) * len(batch.severities))
            if batch.index.stop == len(split.frame_ids):
                for measurements in unfinished:
                    measurements.write(batch.name, split)


FutureMeasurements = list[Future[list[dict[str, float]]]]


@dataclass
class _Measurements:
    """The measurements of one model under one corruption, collected batch by batch.

    Attributes:
        model: the model.
        gallery: positions of the images whose masks are saved for the gallery.
        measured: measurements of predicted masks, by severity and by `mask_warped`. It is false for comparisons with true masks that did
            not move with the pixels.
        activities: predicted activities of each batch, by severity.
        masks: predicted masks of the gallery images, by severity and position of the image.
        seconds: time that the model took to predict.
    """

    model: ModelUnderTest
    gallery: Sequence[int]
    measured: dict[tuple[int, bool], FutureMeasurements] = field(default_factory=dict)
    activities: dict[int, list[NDArray[np.int64]]] = field(default_factory=dict)
    masks: dict[int, dict[int, NDArray[np.uint8]]] = field(default_factory=dict)
    seconds: float = 0.0

    def add(self, batch: CorruptedBatch, unmoved: NDArray[np.uint8] | None, pool: Executor, classes: int) -> None:
        """Predict a batch at every severity, and start to measure the predicted masks in the pool.

        Args:
            batch: the images and their true masks.
            unmoved: true masks (N, S, S) that did not move with the pixels, which are compared too; None if the corruption moves no masks.
            pool: the processes that measure.
            classes: number of classes.
        """
        for position, severity in enumerate(batch.severities):
            started = time.perf_counter()
            activity, masks = self.model.predict(batch, position)
            self.seconds += time.perf_counter() - started
            if activity is not None:
                self.activities.setdefault(severity, []).append(activity)
            if masks is not None and severity in shown_severities(batch.severities):
                of_gallery = {i: masks[i - batch.index.start] for i in self.gallery if i in batch.index}
                self.masks.setdefault(severity, {}).update(of_gallery)
            for moved, truth in ((True, np.ascontiguousarray(batch.masks[position])), (False, unmoved)):
                if truth is not None:
                    futures = self.measured.setdefault((severity, moved), [])
                    futures += [pool.submit(_measure, truth, masks, classes)] if masks is not None else []

    def write(self, name: str, split: Split) -> None:
        """Write the files of a corruption. Call this after all batches of the split were added."""
        rows = []
        for (severity, moved), futures in self.measured.items():
            masks = [row for future in futures for row in future.result()]
            activities = self.activities.get(severity)
            images = rows_of_images(split, None if activities is None else np.concatenate(activities), masks or None)
            rows.append(images.assign(corruption=name, severity=severity, mask_warped=moved))
        predicted = len(split.frame_ids) * len({severity for severity, _ in self.measured})
        if self.masks:
            conditions = pd.DataFrame({"corruption": name, "severity": list(self.masks)})
            stacked = np.stack([[of_severity[i] for i in self.gallery] for of_severity in self.masks.values()])
            write_gallery(self.model.part(name, "npz"), [split.frame_ids[i] for i in self.gallery], conditions, stacked)
        write_json(self.model.part(name, "json"), {"images": predicted, "seconds": self.seconds})
        with whole_file(self.model.part(name, "parquet")) as partial:
            pd.concat(rows, ignore_index=True).to_parquet(partial, index=False)


def _measure(truth: NDArray[np.uint8], masks: NDArray[np.uint8], classes: int) -> list[dict[str, float]]:
    return [measure_mask(true, predicted, classes) for true, predicted in zip(truth, masks, strict=True)]


def gather(model: ModelUnderTest, conditions: Conditions) -> tuple[pd.DataFrame, dict[str, float]]:
    """Return a model's rows and its latency.

    Returns:
        The rows of clean images, followed by those of each corruption in the study's order; and the milliseconds per predicted image, by
        corruption ("clean" for clean images).
    """
    names = (CLEAN, *conditions.corruptions)
    rows = pd.concat([read_table(model.part(name, "parquet")) for name in names], ignore_index=True)
    latency = {}
    for name in names:
        stored = read_json(model.part(name, "json"))
        latency[name or "clean"] = 1000 * stored["seconds"] / stored["images"]
    return rows, latency


def gather_gallery(model: ModelUnderTest, conditions: Conditions) -> None:
    """Write gallery.npz: the predicted masks of the gallery images, clean and under each corruption at the severities of the gallery.

    If the model predicts no masks, the file has none.
    """
    files = [model.part(name, "npz") for name in (CLEAN, *conditions.corruptions)]
    parts = [read_gallery(path) for path in files if path.is_file()]
    masks = {condition: masks for _, by_condition in parts for condition, masks in by_condition.items()}
    frame_ids = parts[0][0] if parts else []
    stacked = np.stack(list(masks.values())) if masks else np.empty((0, 0, 0, 0), np.uint8)
    keys = pd.DataFrame(list(masks), columns=["corruption", "severity"])
    write_gallery(RobustnessFiles.below(model.folder).gallery, frame_ids, keys, stacked)


def scores_by_condition(rows: pd.DataFrame, labels: LabelSet, protocol: str = STANDARD) -> list[dict[str, Any]]:
    """Return the scores of a model on clean images and under each corruption at each severity, computed from its rows.

    Returns:
        One dict per score, with corruption, severity, mask_warped and the entries of `scores_of`. If mask_warped is false, the true masks
        did not move with the pixels, and there are only scores of masks.
    """
    keys = ["corruption", "severity", "mask_warped"]
    metrics = metrics_by_name(protocol)
    scores: list[dict[str, Any]] = []
    columns = columns_of_numbers(rows)
    for (name, severity, moved), places in rows.reset_index().groupby(keys, sort=False).groups.items():
        condition = {"corruption": name, "severity": int(severity), "mask_warped": bool(moved)}
        of_rows = scores_of_columns({column: values[places] for column, values in columns.items()}, labels, protocol)
        scores += [condition | score for score in of_rows if moved or not metrics[score["metric"]].of_activities]
    return scores


def remove_parts(folder: Path) -> None:
    """Remove the files of each corruption, which only an interrupted evaluation needs. Call this after the results are written."""
    shutil.rmtree(folder / _PARTS, ignore_errors=True)
