"""Load training batches from arrays in memory and by decoding PNG every time: images per second, and their ratio.

    python -m benchmarks.load_images [--frames 64]

The frames are generated, 1280x1024, with masks. Both ways produce a normalised float batch of 224 pixels and its masks.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import torch

from endoarss.data import ImagesOnDevice, LabelledImages, RowIndices, batches, normalise, to_input
from pipeline.io.files import write_json

_SIZE, _BATCH, _REPEATS = 224, 16, 3


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, and save it as results/benchmarks/load_images.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=64)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_frames(folder, options.frames)
        images, masks = map(np.stack, zip(*(decode(folder, index) for index in range(options.frames)), strict=True))
        in_memory = ImagesOnDevice(LabelledImages(images, masks, None), torch.device("cpu"))

        def from_memory(indices: torch.Tensor) -> None:
            batch = in_memory.batch(RowIndices.upload(indices, torch.device("cpu")))
            normalise(batch.images, "imagenet")

        def from_png(indices: torch.Tensor) -> None:
            decoded = [decode(folder, int(index)) for index in indices]
            to_input(np.stack([image for image, _ in decoded]), torch.device("cpu"))
            torch.from_numpy(np.stack([mask for _, mask in decoded])).long()

        rows = {
            "in memory": rate(from_memory, options.frames, 10),
            "PNG decoded each time": rate(from_png, options.frames, 1),
        }
    ratio = rows["in memory"] / rows["PNG decoded each time"]
    print(f"\nLoading batches of {_BATCH} at {_SIZE} pixels from 1280x1024 (synthetic), {platform.machine()}, 1 thread")
    for label, value in rows.items():
        print(f"{label:30}{value:10.0f} images/s")
    print(f"{'ratio':30}{ratio:10.1f}")
    origin = {"date": datetime.now(UTC).strftime("%Y-%m-%d"), "machine": platform.machine(), "cpus": os.cpu_count()}
    path = Path("results/benchmarks/load_images.json")
    write_json(path, {**origin, "data": "synthetic", "images_a_second": rows, "ratio": ratio})


def write_frames(folder: Path, count: int) -> None:
    """Write smooth images with sensor noise, and masks of blocks."""
    random = np.random.default_rng(0)
    for index in range(count):
        small = random.integers(0, 256, (16, 20, 3), np.uint8)
        smooth = cv2.resize(small, (1280, 1024), interpolation=cv2.INTER_CUBIC).astype(np.int16)
        noisy = np.clip(smooth + random.integers(-3, 4, smooth.shape), 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"{index}.png"), noisy)
        mask = cv2.resize(random.integers(0, 8, (8, 10), np.uint8), (1280, 1024), interpolation=cv2.INTER_NEAREST)
        cv2.imwrite(str(folder / f"{index}_mask.png"), mask)


def decode(folder: Path, index: int, side: int = _SIZE) -> tuple[np.ndarray, np.ndarray]:
    """Return one frame (S, S, 3) and its mask (S, S) from PNG, at the training size."""
    image = cv2.cvtColor(cv2.imread(str(folder / f"{index}.png")), cv2.COLOR_BGR2RGB)
    mask = cv2.imread(str(folder / f"{index}_mask.png"), cv2.IMREAD_GRAYSCALE)
    size = (side, side)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.resize(
        mask, size, interpolation=cv2.INTER_NEAREST
    )


def rate(load: Callable[[torch.Tensor], None], frames: int, epochs: int) -> float:
    """Return images per second over shuffled epochs, as the median of several repeats after an untimed batch."""
    generator = torch.Generator().manual_seed(0)
    load(torch.arange(min(_BATCH, frames)))
    rates = []
    for _ in range(_REPEATS):
        started = time.perf_counter()
        for _ in range(epochs):
            order = torch.randperm(frames, generator=generator)
            for batch in batches(frames, _BATCH):
                load(order[batch])
        rates.append(frames * epochs / (time.perf_counter() - started))
    return statistics.median(rates)


if __name__ == "__main__":
    main()
