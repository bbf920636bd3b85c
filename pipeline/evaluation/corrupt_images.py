"""Corrupt the test images of a dataset once and keep them, for all models and for people who ask for them."""

from __future__ import annotations

import shutil
from concurrent.futures import Future, wait
from pathlib import Path

from tqdm import tqdm

from pipeline.datasets.load import load_split
from pipeline.evaluation.corrupted_batches import CorruptedBatch, moves_masks, picture_of, pieces
from pipeline.evaluation.corruption_cache import about_cache
from pipeline.io.files import resumable_folder, whole_file, write_json
from pipeline.io.hashing import digest
from pipeline.io.images import write_png
from pipeline.io.processes import processes
from pipeline.results.paths import CORRUPTED_MARK, corrupted_folder
from pipeline.study.conditions import conditions_of
from pipeline.study.folders import dataset_folder
from pipeline.study.models import Study

_DONE = ".done"  # holds the name of each corruption that is complete


def corrupt_images(study: Study, dataset: str, workers: int) -> None:
    """Write data/corrupted/<dataset>-<settings>/<corruption>/<severity>/{images,masks}/<frame>.png and corruptions.json.

    Masks are written where a corruption moves pixels; else a frame's own mask holds. An interrupted run goes on at the corruption it
    had begun.

    Args:
        study: it says what is applied, and the size. dataset: its test split is corrupted. workers: processes.

    Raises:
        InputError: if the dataset is not built.
    """
    conditions, folder = conditions_of(study), corrupted_folder(study, dataset)
    part = load_split(dataset_folder(study, dataset), "test", study.input_size)
    about = about_cache(study, dataset)
    with resumable_folder(folder, digest(about)) as unfinished, processes(workers) as pool:
        (unfinished / _DONE).mkdir(exist_ok=True)
        left = [name for name in conditions.corruptions if not (unfinished / _DONE / name).exists()]
        writing: list[Future[None]] = []
        with tqdm(total=len(left) * len(part.frame_ids), desc=f"corrupt {dataset}", unit="image") as progress:
            for piece in pieces(part, conditions, left, pool, workers):
                writing.append(
                    pool.submit(_write, unfinished, part.frame_ids, piece, moves_masks(conditions, piece.name))
                )
                progress.update(len(piece.index))
                if piece.index.stop == len(part.frame_ids):
                    wait(writing)
                    for written in writing:
                        written.result()
                    writing.clear()
                    (unfinished / _DONE / piece.name).touch()
        write_json(unfinished / CORRUPTED_MARK, about | {"frames": len(part.frame_ids)})
    shutil.rmtree(folder / _DONE)


def _write(folder: Path, frame_ids: list[str], piece: CorruptedBatch, moves: bool) -> None:
    assert piece.images is not None
    for position, severity in enumerate(piece.severities):
        for i, frame in enumerate(piece.index):
            kinds = {"images": piece.images[position, i]} | ({"masks": piece.masks[position, i]} if moves else {})
            for kind, pixels in kinds.items():
                with whole_file(picture_of(folder, piece.name, severity, kind, frame_ids[frame])) as partial:
                    write_png(partial, pixels)
