"""Models under corruption: images are corrupted by other processes while models answer, each image once for all models."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from pipeline.corrupted import CLEAN, Conditions, Piece, pieces
from pipeline.datasets.labels import LabelSet
from pipeline.datasets.load import Part
from pipeline.files import whole_file, write_json
from pipeline.measure import measure_mask, rows_of_images, scores_of_rows
from pipeline.parallel import processes

_PARTS = ".parts"
# Scores of masks; the others do not change with them.
_OF_ACTIVITIES = ("accuracy", "macro_f1", "modal_share", "predictions_without_support", "f1")

Answer = tuple[NDArray[np.int64] | None, NDArray[np.uint8] | None]


class Answerer(Protocol):
    """Answers for some images under one condition."""

    def __call__(self, piece: Piece, position: int) -> Answer:
        """Activities (N,) and masks (N, S, S), None for a task that is not solved, for piece.images[position]."""


@dataclass
class Subject:
    """A model under test.

    label: of messages. answer: what it says of images. done: a folder, empty or of an interrupted evaluation, that keeps what is
    measured: below `.parts` a pair of files a corruption. sees_images: whether it needs the images.
    """

    label: str
    answer: Answerer
    done: Path
    sees_images: bool = True
    seconds: dict[str, float] = field(default_factory=dict)

    def rows_file(self, name: str) -> Path:
        """The rows of one corruption."""
        return self.done / _PARTS / f"{name or 'clean'}.parquet"

    def seconds_file(self, name: str) -> Path:
        """How long the model took for one corruption."""
        return self.done / _PARTS / f"{name or 'clean'}.json"

    def lacks(self, name: str) -> bool:
        """Whether a corruption is still to be measured. The rows are written last."""
        return not self.rows_file(name).is_file()


def evaluate(
    subjects: Sequence[Subject],
    part: Part,
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
    with processes(workers) as pool, tqdm(total=total, desc=title, unit="image", mininterval=1.0) as progress:
        seen = any(subject.sees_images for subject in subjects)
        measured: dict[tuple[int, int, bool], list[Future[list[dict[str, float]]]]] = {}
        activities: dict[tuple[int, int], list[NDArray[np.int64]]] = {}
        for piece in pieces(part, conditions, names, pool, workers, seen, kept):
            for position, severity in enumerate(piece.severities):
                for who, subject in enumerate(subjects):
                    if not subject.lacks(piece.name):
                        continue
                    started = time.perf_counter()
                    activity, masks = subject.answer(piece, position)
                    spent = subject.seconds.get(piece.name, 0.0)
                    subject.seconds[piece.name] = spent + time.perf_counter() - started
                    if activity is not None:
                        activities.setdefault((who, severity), []).append(activity)
                    for moved, truth in _truths(part, conditions, piece, position):
                        work = measured.setdefault((who, severity, moved), [])
                        if masks is not None:
                            work.append(pool.submit(_measure, truth, masks, len(labels.classes)))
            progress.update(len(piece.index))
            if piece.index.stop == len(part.frame_ids):
                for who, subject in enumerate(subjects):
                    if subject.lacks(piece.name):
                        mine = {key[1:]: work for key, work in measured.items() if key[0] == who}
                        answers = {key[1]: np.concatenate(some) for key, some in activities.items() if key[0] == who}
                        _write(subject, part, piece.name, mine, answers)
                measured.clear()
                activities.clear()


def _truths(
    part: Part, conditions: Conditions, piece: Piece, position: int
) -> Iterator[tuple[bool, NDArray[np.uint8]]]:
    """The masks that answers are held against, and whether they moved along: both, where pixels moved."""
    yield True, np.ascontiguousarray(piece.masks[position])
    if conditions.moves(piece.name):
        yield False, np.array(part.masks[piece.index.start : piece.index.stop])


def _measure(truth: NDArray[np.uint8], masks: NDArray[np.uint8], classes: int) -> list[dict[str, float]]:
    return [measure_mask(true, predicted, classes) for true, predicted in zip(truth, masks, strict=True)]


def _write(
    subject: Subject,
    part: Part,
    name: str,
    measured: dict[tuple[int, bool], list[Future[list[dict[str, float]]]]],
    activities: dict[int, NDArray[np.int64]],
) -> None:
    rows, answered = [], 0
    for (severity, moved), work in measured.items():
        masks = [row for future in work for row in future.result()]
        images = rows_of_images(part, activities.get(severity), masks or None)
        rows.append(images.assign(corruption=name, severity=severity, mask_warped=moved))
        answered += len(images) if moved else 0
    write_json(subject.seconds_file(name), {"images": answered, "seconds": subject.seconds.get(name, 0.0)})
    with whole_file(subject.rows_file(name)) as partial:
        pd.concat(rows, ignore_index=True).to_parquet(partial, index=False)


def gather(subject: Subject, conditions: Conditions) -> tuple[pd.DataFrame, dict[str, float]]:
    """All rows of a subject, in the order of the conditions, clean first; and the milliseconds an image by corruption."""
    names = (CLEAN, *conditions.corruptions)
    rows = pd.concat([pd.read_parquet(subject.rows_file(name)) for name in names], ignore_index=True)
    latency = {}
    for name in names:
        stored = json.loads(subject.seconds_file(name).read_text(encoding="utf-8"))
        latency[name or "clean"] = 1000 * stored["seconds"] / stored["images"]
    return rows, latency


def scores_by_condition(rows: pd.DataFrame, labels: LabelSet) -> list[dict[str, Any]]:
    """The scores of each condition of a model's rows: dicts of corruption, severity, mask_warped, and what `scores_of_rows` gives;
    against masks that did not move, those of masks alone."""
    keys = ["corruption", "severity", "mask_warped"]
    scores: list[dict[str, Any]] = []
    for (name, severity, moved), group in rows.groupby(keys, sort=False):
        condition = {"corruption": name, "severity": int(severity), "mask_warped": bool(moved)}
        found = scores_of_rows(group, labels)
        scores += [condition | score for score in found if moved or score["metric"] not in _OF_ACTIVITIES]
    return scores


def remove_parts(folder: Path) -> None:
    """Remove what an evaluation went on from; after its results are in place."""
    shutil.rmtree(folder / _PARTS, ignore_errors=True)
