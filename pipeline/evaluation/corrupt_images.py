"""Corrupt the test images of a dataset and store them. All models use the stored images, and people can look at them."""

from __future__ import annotations

import shutil
from concurrent.futures import Future, wait
from pathlib import Path

from pipeline.datasets.load import load_split
from pipeline.evaluation.corrupted_batches import (
    CorruptedBatch,
    corrupted_batches,
    image_file,
    progress_bar,
)
from pipeline.evaluation.corruption_cache import cache_settings
from pipeline.io.files import resumable_folder, whole_file, write_json
from pipeline.io.hashing import digest
from pipeline.io.images import write_png
from pipeline.io.processes import processes
from pipeline.results.paths import CORRUPTED_DONE, corrupted_folder
from pipeline.study.conditions import conditions_of
from pipeline.study.folders import dataset_folder
from pipeline.study.models import Study

_DONE = ".done"  # a folder with one empty file per finished corruption


def corrupt_images(study: Study, dataset: str, workers: int) -> None:
    """Write data/corrupted/<dataset>-<settings>/<corruption>/<severity>/{images,masks}/<frame>.png and corruptions.json.

    Masks are written only for corruptions that move pixels. An interrupted run continues with the corruption that was not finished.

    Args:
        study: its corruptions, severities and image size are used.
        dataset: the dataset whose test split is corrupted.
        workers: number of processes.

    Raises:
        InputError: if the dataset is not built, or another process writes the folder.
    """
    conditions, folder = conditions_of(study), corrupted_folder(study, dataset)
    split = load_split(dataset_folder(study, dataset), "test", study.input_size)
    settings = cache_settings(study, dataset)
    with resumable_folder(folder, digest(settings)) as unfinished, processes(workers) as pool:
        (unfinished / _DONE).mkdir(exist_ok=True)
        remaining = [name for name in conditions.corruptions if not (unfinished / _DONE / name).exists()]
        writes: list[Future[None]] = []
        with progress_bar(f"corrupt {dataset}", split, conditions, remaining) as progress:
            for batch in corrupted_batches(split, conditions, remaining, pool, workers):
                writes.append(
                    pool.submit(_write, unfinished, split.frame_ids, batch, conditions.moves_masks(batch.name))
                )
                progress.update(len(batch.index) * len(batch.severities))
                if batch.index.stop == len(split.frame_ids):
                    wait(writes)
                    for write in writes:
                        write.result()  # raises if it failed
                    writes.clear()
                    (unfinished / _DONE / batch.name).touch()
        write_json(unfinished / CORRUPTED_DONE, settings | {"frames": len(split.frame_ids)})
    shutil.rmtree(folder / _DONE)


def _write(folder: Path, frame_ids: list[str], batch: CorruptedBatch, masks_move: bool) -> None:
    assert batch.images is not None
    for position, severity in enumerate(batch.severities):
        for i, frame in enumerate(batch.index):
            kinds = {"images": batch.images[position, i]} | ({"masks": batch.masks[position, i]} if masks_move else {})
            for kind, pixels in kinds.items():
                with whole_file(image_file(folder, batch.name, severity, kind, frame_ids[frame])) as partial:
                    write_png(partial, pixels)
