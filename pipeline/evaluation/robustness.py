"""Models under corruption: images are corrupted by other processes while models answer, each image once for all models."""

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
from tqdm import tqdm

from endoarss.metrics import STANDARD, measure_mask
from endoarss.metrics.catalogue import metrics_by_name
from pipeline.datasets.load import Split
from pipeline.evaluation.corrupted_batches import CLEAN, CorruptedBatch, moves_masks, pieces
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

_PARTS = ".parts"

Prediction = tuple[NDArray[np.int64] | None, NDArray[np.uint8] | None]


class Predictor(Protocol):
    """Answers for some images under one condition."""

    def __call__(self, piece: CorruptedBatch, position: int) -> Prediction:
        """Activities (N,) and masks (N, S, S), None for a task that is not solved, for piece.images[position]."""


@dataclass(frozen=True)
class ModelUnderTest:
    """A model under test.

    label: of messages. answer: what it says of images. done: a folder, empty or of an interrupted evaluation, that keeps what is
    measured: below `.parts` a pair of files a corruption. sees_images: whether it needs the images.
    """

    label: str
    answer: Predictor
    done: Path
    sees_images: bool = True

    def part(self, name: str, suffix: str) -> Path:
        """What is kept of one corruption: rows as parquet, masks of the gallery's images as npz, the time it took as json."""
        return self.done / _PARTS / f"{name or 'clean'}.{suffix}"

    def lacks(self, name: str) -> bool:
        """Whether a corruption is still to be measured. The rows are written last."""
        return not self.part(name, "parquet").is_file()


def evaluate(
    subjects: Sequence[ModelUnderTest],
    part: Split,
    labels: LabelSet,
    conditions: Conditions,
    workers: int,
    kept: Path | None = None,
) -> None:
    """Measure models on a part, clean and under all conditions; what a model's folder already holds is not measured again.

    Args:
        subjects: the models. part, labels: of the dataset. conditions: what images go through. workers: processes that corrupt and
            measure; 0: this one. kept: a folder with the corrupted images, see `corrupted.pieces`.
    """
    names = [name for name in (CLEAN, *conditions.corruptions) if any(subject.lacks(name) for subject in subjects)]
    total = len(part.frame_ids) * len(names)
    title = f"robustness of {', '.join(subject.label for subject in subjects)}"
    seen = any(subject.sees_images for subject in subjects)
    shown = representative(part, GALLERY_SIZE)
    with processes(workers) as pool, tqdm(total=total, desc=title, unit="image", mininterval=1.0) as progress:
        begun: list[_Begun] = []
        for piece in pieces(part, conditions, names, pool, workers, seen, kept):
            if piece.index.start == 0:
                begun = [_Begun(subject, shown) for subject in subjects if subject.lacks(piece.name)]
            here = slice(piece.index.start, piece.index.stop)
            unmoved = np.array(part.masks[here]) if moves_masks(conditions, piece.name) else None
            for one in begun:
                one.add(piece, unmoved, pool, len(labels.classes))
            progress.update(len(piece.index))
            if piece.index.stop == len(part.frame_ids):
                for one in begun:
                    one.write(piece.name, part)


Measuring = list[Future[list[dict[str, float]]]]


@dataclass
class _Begun:
    """One corruption of a subject, piece by piece.

    shown: the images whose masks are kept. measured: by severity, and whether masks moved, what is kept of each mask. activities: by
    severity. masks: by severity, those of the images shown. seconds: of its answers.
    """

    subject: ModelUnderTest
    shown: Sequence[int]
    measured: dict[tuple[int, bool], Measuring] = field(default_factory=dict)
    activities: dict[int, list[NDArray[np.int64]]] = field(default_factory=dict)
    masks: dict[int, dict[int, NDArray[np.uint8]]] = field(default_factory=dict)
    seconds: float = 0.0

    def add(self, piece: CorruptedBatch, unmoved: NDArray[np.uint8] | None, pool: Executor, classes: int) -> None:
        """Prediction a piece at every severity, and have the answers measured: where pixels moved, against both masks."""
        for position, severity in enumerate(piece.severities):
            started = time.perf_counter()
            activity, masks = self.subject.answer(piece, position)
            self.seconds += time.perf_counter() - started
            if activity is not None:
                self.activities.setdefault(severity, []).append(activity)
            if masks is not None and severity in shown_severities(piece.severities):
                own = {i: masks[i - piece.index.start] for i in self.shown if i in piece.index}
                self.masks.setdefault(severity, {}).update(own)
            for moved, truth in ((True, np.ascontiguousarray(piece.masks[position])), (False, unmoved)):
                if truth is not None:
                    measuring = self.measured.setdefault((severity, moved), [])
                    measuring += [pool.submit(_measure, truth, masks, classes)] if masks is not None else []

    def write(self, name: str, part: Split) -> None:
        """Keep the rows and the time of the whole part."""
        rows = []
        for (severity, moved), measuring in self.measured.items():
            masks = [row for future in measuring for row in future.result()]
            told = self.activities.get(severity)
            images = rows_of_images(part, None if told is None else np.concatenate(told), masks or None)
            rows.append(images.assign(corruption=name, severity=severity, mask_warped=moved))
        answered = len(part.frame_ids) * len({severity for severity, _ in self.measured})
        if self.masks:
            conditions = pd.DataFrame({"corruption": name, "severity": list(self.masks)})
            kept = np.stack([[of_severity[i] for i in self.shown] for of_severity in self.masks.values()])
            write_gallery(self.subject.part(name, "npz"), [part.frame_ids[i] for i in self.shown], conditions, kept)
        write_json(self.subject.part(name, "json"), {"images": answered, "seconds": self.seconds})
        with whole_file(self.subject.part(name, "parquet")) as partial:
            pd.concat(rows, ignore_index=True).to_parquet(partial, index=False)


def _measure(truth: NDArray[np.uint8], masks: NDArray[np.uint8], classes: int) -> list[dict[str, float]]:
    return [measure_mask(true, predicted, classes) for true, predicted in zip(truth, masks, strict=True)]


def gather(subject: ModelUnderTest, conditions: Conditions) -> tuple[pd.DataFrame, dict[str, float]]:
    """All rows of a subject, in the order of the conditions, clean first; and the milliseconds an image by corruption."""
    names = (CLEAN, *conditions.corruptions)
    rows = pd.concat([read_table(subject.part(name, "parquet")) for name in names], ignore_index=True)
    latency = {}
    for name in names:
        stored = read_json(subject.part(name, "json"))
        latency[name or "clean"] = 1000 * stored["seconds"] / stored["images"]
    return rows, latency


def gather_gallery(subject: ModelUnderTest, conditions: Conditions) -> None:
    """Write gallery.npz beside the rows: the masks of the gallery's images under all conditions; none of a model without masks."""
    files = [subject.part(name, "npz") for name in (CLEAN, *conditions.corruptions)]
    parts = [read_gallery(path) for path in files if path.is_file()]
    masks = {condition: kept for _, found in parts for condition, kept in found.items()}
    frame_ids = parts[0][0] if parts else []
    stacked = np.stack(list(masks.values())) if masks else np.empty((0, 0, 0, 0), np.uint8)
    keys = pd.DataFrame(list(masks), columns=["corruption", "severity"])
    write_gallery(RobustnessFiles.below(subject.done).gallery, frame_ids, keys, stacked)


def scores_by_condition(rows: pd.DataFrame, labels: LabelSet, protocol: str = STANDARD) -> list[dict[str, Any]]:
    """The scores of each condition of a model's rows: dicts of corruption, severity, mask_warped, and what `scores_of` gives; against
    masks that did not move, those of masks alone."""
    keys = ["corruption", "severity", "mask_warped"]
    metrics = metrics_by_name(protocol)
    scores: list[dict[str, Any]] = []
    columns = columns_of_numbers(rows)
    for (name, severity, moved), places in rows.reset_index().groupby(keys, sort=False).groups.items():
        condition = {"corruption": name, "severity": int(severity), "mask_warped": bool(moved)}
        found = scores_of_columns({column: values[places] for column, values in columns.items()}, labels, protocol)
        scores += [condition | score for score in found if moved or not metrics[score["metric"]].of_activities]
    return scores


def remove_parts(folder: Path) -> None:
    """Remove what an evaluation went on from; after its results are in place."""
    shutil.rmtree(folder / _PARTS, ignore_errors=True)
