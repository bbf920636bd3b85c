"""The test images of a dataset under every corruption, made piece by piece in other processes, or read where they are kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corruptions import moves_pixels, sweep, sweep_pair
from corruptions.registry import Description
from corruptions.workers import in_order
from pipeline.datasets.load import Split
from pipeline.io.images import read_ids, read_rgb
from pipeline.study.components import know_own_corruptions, own_corruptions
from pipeline.study.conditions import CLEAN, Conditions

_BYTES = 1 << 25  # of images in one piece, all severities
_AHEAD = 3  # pieces a process has waiting


def moves_masks(conditions: Conditions, corruption: str) -> bool:
    """Return whether masks move along with the pixels. Under the profile `authors_code` they stay."""
    return corruption != CLEAN and conditions.profile == "standard" and moves_pixels(corruption)


@dataclass(frozen=True)
class CorruptedBatch:
    """Some images under one corruption.

    name: of the corruption, "" for none. severities: (V,), (0,) for none. index: which images of the part (N,).
    images: uint8 (V, N, S, S, 3), or None where nobody looks at them. masks: uint8 (V, N, S, S), moved along.
    """

    name: str
    severities: tuple[int, ...]
    index: range
    images: NDArray[np.uint8] | None
    masks: NDArray[np.uint8]


def pieces(
    part: Split,
    conditions: Conditions,
    names: Sequence[str],
    pool: Executor,
    workers: int,
    seen: bool = True,
    kept: Path | None = None,
) -> Iterator[CorruptedBatch]:
    """Yield all images of a part, corruption by corruption.

    Args:
        part: the images. conditions: seed, severities and profile. names: which corruptions, in this order; "" is no corruption.
        pool: who corrupts. workers: its processes. seen: whether anybody looks at the images; if not, only masks are moved.
        kept: the folder that `corrupt_images` filled, to read from instead.

    Raises:
        InputError: if a kept picture cannot be read. CorruptionError: if images are too small.
    """
    count = max(1, min(16, _BYTES // (len(conditions.severities) * part.images[0].nbytes)))
    work = partial(_corrupt, conditions, own_corruptions(conditions.corruptions), seen, kept)
    starts = [(name, start) for name in names for start in range(0, len(part.frame_ids), count)]

    def items() -> Iterator[_Item]:
        for name, start in starts:
            index = range(start, min(start + count, len(part.frame_ids)))
            # Copied: what is mapped into memory would be sent to the other process as a whole.
            yield _Item(name, index, part.take(list(index)))

    return in_order(pool, work, items(), workers * _AHEAD)


@dataclass(frozen=True)
class _Item:
    name: str
    index: range
    part: Split


def _corrupt(
    conditions: Conditions, own: Sequence[Description], seen: bool, kept: Path | None, item: _Item
) -> CorruptedBatch:
    know_own_corruptions(own)
    if item.name == CLEAN:
        return CorruptedBatch(CLEAN, (0,), item.index, item.part.images[None], item.part.masks[None])
    severities, moves = conditions.severities, moves_masks(conditions, item.name)
    unmoved = np.broadcast_to(item.part.masks, (len(severities), *item.part.masks.shape))
    if not seen and not moves:
        return CorruptedBatch(item.name, severities, item.index, None, unmoved)
    if kept is not None:
        masks = _read(kept, item, severities, "masks") if moves else unmoved
        return CorruptedBatch(item.name, severities, item.index, _read(kept, item, severities, "images"), masks)
    about: dict[str, Any] = {name: getattr(conditions, name) for name in ("seed", "profile", "field_of_view")}
    made = []
    for image, mask, frame_id in zip(item.part.images, item.part.masks, item.part.frame_ids, strict=True):
        if moves:
            made.append(sweep_pair(image, mask, item.name, severities, image_id=frame_id, **about))
        else:
            made.append([(one, mask) for one in sweep(image, item.name, severities, image_id=frame_id, **about)])
    by_severity = list(zip(*made, strict=True))
    images = np.stack([np.stack([image for image, _ in pairs]) for pairs in by_severity])
    masks = np.stack([np.stack([mask for _, mask in pairs]) for pairs in by_severity]) if moves else unmoved
    return CorruptedBatch(item.name, severities, item.index, images, masks)


def picture_of(folder: Path, name: str, severity: int, kind: str, frame_id: str) -> Path:
    """Where a corrupted picture is kept; kind is "images" or "masks". As `corruptions apply` has it."""
    return folder / name / str(severity) / kind / f"{frame_id}.png"


def _read(kept: Path, item: _Item, severities: Sequence[int], kind: str) -> NDArray[np.uint8]:
    read = read_rgb if kind == "images" else read_ids
    files = [[picture_of(kept, item.name, s, kind, frame) for frame in item.part.frame_ids] for s in severities]
    return np.stack([np.stack([read(path) for path in of_severity]) for of_severity in files])
