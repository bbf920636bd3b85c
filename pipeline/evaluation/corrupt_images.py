"""Corrupt the test images of a dataset once and store them, for all models and for people who want to look at them."""

from __future__ import annotations

import shutil
from concurrent.futures import Future, wait
from pathlib import Path

from tqdm import tqdm

from pipeline.datasets.load import load_split
from pipeline.evaluation.corrupted_batches import CorruptedBatch, corrupted_batches, moves_masks, picture_of
from pipeline.evaluation.corruption_cache import about_cache
from pipeline.io.files import resumable_folder, whole_file, write_json
from pipeline.io.hashing import digest
from pipeline.io.images import write_png
from pipeline.io.processes import processes
from pipeline.results.paths import CORRUPTED_DONE, corrupted_folder
from pipeline.study.conditions import conditions_of
from pipeline.study.folders import dataset_folder
from pipeline.study.models import Study

_DONE = ".done"  # holds one empty file per finished corruption


def corrupt_images(study: Study, dataset: str, workers: int) -> None:
    """Write data/corrupted/<dataset>-<settings>/<corruption>/<severity>/{images,masks}/<frame>.png and corruptions.json.

    Masks are written only for corruptions that move pixels. An interrupted run continues with the corruption that was not finished.

    Args:
        study: decides the corruptions and the image size.
        dataset: the dataset whose test split is corrupted.
        workers: number of processes.

    Raises:
        InputError: if the dataset is not built.
    """
    conditions, folder = conditions_of(study), corrupted_folder(study, dataset)
    split = load_split(dataset_folder(study, dataset), "test", study.input_size)
    about = about_cache(study, dataset)
    with resumable_folder(folder, digest(about)) as unfinished, processes(workers) as pool:
        (unfinished / _DONE).mkdir(exist_ok=True)
        left = [name for name in conditions.corruptions if not (unfinished / _DONE / name).exists()]
        writing: list[Future[None]] = []
        with tqdm(total=len(left) * len(split.frame_ids), desc=f"corrupt {dataset}", unit="image") as progress:
            for batch in corrupted_batches(split, conditions, left, pool, workers):
                writing.append(
                    pool.submit(_write, unfinished, split.frame_ids, batch, moves_masks(conditions, batch.name))
                )
                progress.update(len(batch.index))
                if batch.index.stop == len(split.frame_ids):
                    wait(writing)
                    for written in writing:
                        written.result()
                    writing.clear()
                    (unfinished / _DONE / batch.name).touch()
        write_json(unfinished / CORRUPTED_DONE, about | {"frames": len(split.frame_ids)})
    shutil.rmtree(folder / _DONE)


def _write(folder: Path, frame_ids: list[str], batch: CorruptedBatch, moves: bool) -> None:
    assert batch.images is not None
    for position, severity in enumerate(batch.severities):
        for i, frame in enumerate(batch.index):
            kinds = {"images": batch.images[position, i]} | ({"masks": batch.masks[position, i]} if moves else {})
            for kind, pixels in kinds.items():
                with whole_file(picture_of(folder, batch.name, severity, kind, frame_ids[frame])) as partial:
                    write_png(partial, pixels)
