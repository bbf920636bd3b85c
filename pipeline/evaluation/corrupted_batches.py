"""Corrupt the test images of a dataset batch by batch, or read them from the cache, in other processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from corruptions import sweep, sweep_pair
from corruptions.registry import Description
from corruptions.workers import in_order
from pipeline.datasets.load import Split
from pipeline.io.images import read_ids, read_rgb
from pipeline.study.components import know_own_corruptions, own_corruptions
from pipeline.study.conditions import CLEAN, Conditions

_BATCH_BYTES = 1 << 25  # size of the images in one batch, at all severities together
_WAITING_PER_WORKER = 3  # batches


def progress_bar(title: str, split: Split, conditions: Conditions, names: Sequence[str]) -> tqdm[Any]:
    """Return a progress bar that counts each image once under each condition.

    Args:
        title: the work.
        split: the images.
        conditions: the severities of each corruption.
        names: names of corruptions; "" is no corruption, which is one condition.
    """
    count = sum(1 if name == CLEAN else len(conditions.severities) for name in names)
    images = len(split.frame_ids)
    return tqdm(
        total=images * count, desc=f"{title}, {images} images x {count} conditions", unit="image", mininterval=1.0
    )


@dataclass(frozen=True)
class CorruptedBatch:
    """A batch of N images under one corruption, at all V severities.

    Attributes:
        name: name of the corruption, "" for clean images.
        severities: the V severities; (0,) for clean images.
        index: positions of the images in the split.
        images: uint8 (V, N, S, S, 3), or None if no model needs them.
        masks: uint8 (V, N, S, S), moved with the pixels if `Conditions.moves_masks`.
    """

    name: str
    severities: tuple[int, ...]
    index: range
    images: NDArray[np.uint8] | None
    masks: NDArray[np.uint8]


def corrupted_batches(
    split: Split,
    conditions: Conditions,
    names: Sequence[str],
    pool: Executor,
    workers: int,
    with_images: bool = True,
    cache: Path | None = None,
) -> Iterator[CorruptedBatch]:
    """Yield all images of a split, corruption by corruption.

    Args:
        split: the images.
        conditions: seed, severities and profile.
        names: names of corruptions, in the order of the batches; "" is no corruption.
        pool: the processes that corrupt.
        workers: the number of these processes.
        with_images: whether a model needs the images. If not, only masks are made.
        cache: a folder that `corrupt_images` filled, from which images and masks are read.

    Raises:
        InputError: if a stored image cannot be read.
        CorruptionError: if images are too small.
    """
    count = max(1, min(16, _BATCH_BYTES // (len(conditions.severities) * split.images[0].nbytes)))
    work = partial(_corrupt, conditions, own_corruptions(conditions.corruptions), with_images, cache)
    starts = [(name, start) for name in names for start in range(0, len(split.frame_ids), count)]

    def items() -> Iterator[_Item]:
        for name, start in starts:
            index = range(start, min(start + count, len(split.frame_ids)))
            # `take` copies the batch, because a memory-mapped array would be sent to the other process completely.
            yield _Item(name, index, split.take(list(index)))

    return in_order(pool, work, items(), workers * _WAITING_PER_WORKER)


@dataclass(frozen=True)
class _Item:
    name: str
    index: range
    split: Split


def _corrupt(
    conditions: Conditions, own_described: Sequence[Description], with_images: bool, cache: Path | None, item: _Item
) -> CorruptedBatch:
    know_own_corruptions(own_described)
    if item.name == CLEAN:
        return CorruptedBatch(CLEAN, (0,), item.index, item.split.images[None], item.split.masks[None])
    severities, masks_move = conditions.severities, conditions.moves_masks(item.name)
    unmoved = np.broadcast_to(item.split.masks, (len(severities), *item.split.masks.shape))
    if not with_images and not masks_move:
        return CorruptedBatch(item.name, severities, item.index, None, unmoved)
    if cache is not None:
        masks = _read(cache, item, severities, "masks") if masks_move else unmoved
        return CorruptedBatch(item.name, severities, item.index, _read(cache, item, severities, "images"), masks)
    settings: dict[str, Any] = {name: getattr(conditions, name) for name in ("seed", "profile", "field_of_view")}
    pairs_by_image = []
    for image, mask, frame_id in zip(item.split.images, item.split.masks, item.split.frame_ids, strict=True):
        if masks_move:
            pairs_by_image.append(sweep_pair(image, mask, item.name, severities, image_id=frame_id, **settings))
        else:
            pairs_by_image.append(
                [(corrupted, mask) for corrupted in sweep(image, item.name, severities, image_id=frame_id, **settings)]
            )
    by_severity = list(zip(*pairs_by_image, strict=True))
    images = np.stack([np.stack([image for image, _ in pairs]) for pairs in by_severity])
    masks = np.stack([np.stack([mask for _, mask in pairs]) for pairs in by_severity]) if masks_move else unmoved
    return CorruptedBatch(item.name, severities, item.index, images, masks)


def image_file(folder: Path, name: str, severity: int, kind: str, frame_id: str) -> Path:
    """Return the path of a corrupted image or mask, as `corruptions apply` writes it. kind: "images" or "masks"."""
    return folder / name / str(severity) / kind / f"{frame_id}.png"


def _read(cache: Path, item: _Item, severities: Sequence[int], kind: str) -> NDArray[np.uint8]:
    read = read_rgb if kind == "images" else read_ids
    files = [[image_file(cache, item.name, s, kind, frame) for frame in item.split.frame_ids] for s in severities]
    return np.stack([np.stack([read(path) for path in of_severity]) for of_severity in files])
