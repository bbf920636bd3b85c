"""The authors' training of EndoARSS: LibMTL's loop on PNG files, in float32.

The streams are concatenated, each task has its own backward pass, gradients are flattened over all parameters of the backbone, and one
worker decodes frames of 1280x1024 pixels and their masks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks import load_images
from benchmarks.gpu_parts import problems
from benchmarks.gpu_parts.part import Figures, Part
from benchmarks.gpu_parts.setup import Setup
from benchmarks.gpu_parts.table import AUTHORS, AUTHORS_STEP
from benchmarks.gpu_parts.timing import memory, steady, wait_for
from benchmarks.train_step import ACTIVITIES, Problem, Step, flattening, weighting
from endoarss.data import to_input
from endoarss.devices import reset_peak_memory

_EPOCHS = 1  # timed epochs, after some untimed batches
_DECODINGS = 4  # of each frame per epoch, because a longer epoch starts and ends the loader less often


def run(part: Part) -> None:
    """Measure the loop, then its step and its loading separately."""
    if part.setup.device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = True  # PyTorch's default, which the authors' code does not change
    folder = part.setup.folder / "frames"
    folder.mkdir()
    load_images.write_frames(folder, part.setup.sizes.frames)
    part.measure(AUTHORS, lambda: loop(part.setup, folder))
    part.measure(AUTHORS_STEP, lambda: step_alone(part.setup))
    part.measure("authors' loading alone, one worker", lambda: loading(part.setup, folder))


class PngFrames(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Frames and masks that are decoded on each access."""

    def __init__(self, folder: Path, count: int, side: int) -> None:
        self.folder, self.count, self.side = folder, count, side

    def __len__(self) -> int:
        return _DECODINGS * self.count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return a normalised image (3, S, S), its mask (S, S), and its activity."""
        image, mask = load_images.decode(self.folder, index % self.count, self.side)
        pixels = to_input(image[None], torch.device("cpu"))[0]
        return pixels, torch.from_numpy(mask).long(), torch.tensor(index % len(ACTIVITIES))


def loader(setup: Setup, folder: Path) -> DataLoader[tuple[Tensor, Tensor, Tensor]]:
    """Return a loader with one worker that persists over epochs."""
    frames = PngFrames(folder, setup.sizes.frames, setup.sizes.side)
    return DataLoader(
        frames,
        batch_size=setup.sizes.batch,
        shuffle=True,
        num_workers=1,
        multiprocessing_context="spawn",  # a forked worker would wait forever for threads of OpenCV and CUDA
        worker_init_fn=one_thread,
        timeout=60,
        pin_memory=setup.device.type == "cuda",
        drop_last=True,
        persistent_workers=True,
    )


def one_thread(worker: int) -> None:
    """Restrict OpenCV in a worker to one thread, like torch."""
    cv2.setNumThreads(1)


def loop(setup: Setup, folder: Path) -> Figures:
    """Measure training with loading."""
    problem = problems.build(setup, "endoarss", "tesla", "float32")
    step = flattening(problem, weighting(problem, "db_mtl"))
    return timed_epochs(setup, folder, lambda batch: on_batch(problem, step, batch))


def loading(setup: Setup, folder: Path) -> Figures:
    """Measure loading without a model."""
    return timed_epochs(setup, folder, lambda batch: None)


def step_alone(setup: Setup) -> Figures:
    """Measure the step without loading."""
    problem = problems.build(setup, "endoarss", "tesla", "float32")
    step = flattening(problem, weighting(problem, "db_mtl"))
    return problems.without_first(steady(step, len(problem.images), setup))


def on_batch(problem: Problem, step: Step, batch: Sequence[Tensor]) -> None:
    """Copy a batch into the problem's tensors, which the step reads, and run the step."""
    for target, source in zip((problem.images, problem.masks, problem.activities), batch, strict=True):
        target.copy_(source, non_blocking=True)
    step()


def timed_epochs(setup: Setup, folder: Path, process: Callable[[Sequence[Tensor]], None]) -> Figures:
    """Return images per second and memory of epochs over the frames, after a few untimed batches."""
    batches = loader(setup, folder)
    for number, batch in enumerate(batches, start=1):
        process(batch)
        if number == _DECODINGS:
            break
    wait_for(setup.device)
    reset_peak_memory(setup.device)
    started, images = time.perf_counter(), 0
    for _ in range(_EPOCHS):
        for batch in batches:
            process(batch)
            images += len(batch[0])
    wait_for(setup.device)
    return {"images_per_second": images / (time.perf_counter() - started), **memory(setup.device)}
