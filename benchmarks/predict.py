"""`endoarss predict` on a generated video of 1920x1080, compared with its model alone: images per second, medians.

    python -m benchmarks.predict [--repeats 3]

The model is EndoARSS with TESLA and random weights. Alone, it predicts the same frames in the same batches with the same number of
threads, without reading or writing. Model and command take turns. The figure of the command is the overall figure that it prints.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import cv2
import numpy as np

from benchmarks.train_step import ACTIVITIES, CLASSES, with_random_weights
from corruptions.pictures import resize_image
from endoarss.checkpoints import save_checkpoint
from endoarss.devices import choose_device
from endoarss.inference.media import find_sources, read_frames
from endoarss.models import build_model
from endoarss.prediction import predict
from endoarss.settings import BackboneSettings, HeadSettings, ModelSettings
from pipeline.inference.predict_files import predict_files
from pipeline.results.checkpoints import load_file

_BATCH = 16
# Frames of the video, input side, and ViT: the paper's model, and a model that takes as much time as reading and writing.
_MODELS = (
    (32, 224, BackboneSettings("vit_base_patch14_dinov2")),
    (128, 112, BackboneSettings("vit_small_patch14_dinov2", {"depth": 4})),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args(arguments).repeats
    cv2.setNumThreads(1)  # as the command does
    print(f"{os.cpu_count()} CPUs; images per second (share of the model alone)")
    print(f"{'model':34}{'alone':>10}{'with overlays':>18}{'without':>18}")
    for frames, size, vit in _MODELS:
        with tempfile.TemporaryDirectory() as name:
            video, checkpoint = Path(name) / "video.mp4", Path(name) / "model.safetensors"
            write_video(video, frames)
            backbone = with_random_weights(vit, size, Path(name))
            settings = ModelSettings("endoarss", "tesla", CLASSES, ACTIVITIES, size, backbone, heads=HeadSettings())
            save_checkpoint(build_model(settings), checkpoint, {"synthetic": True})
            runs = [
                (alone(checkpoint, video), command(checkpoint, video, True), command(checkpoint, video, False))
                for _ in range(repeats)
            ]
        rates = [statistics.median(column) for column in zip(*runs, strict=True)]
        shares = "".join(f"{f'{rate:.2f} ({rate / rates[0]:.2f})':>18}" for rate in rates[1:])
        print(f"{f'{vit.model}, {size} px':34}{rates[0]:10.2f}{shares}", flush=True)


def write_video(path: Path, frames: int) -> None:
    """Write a smooth scene that moves, with sensor noise."""
    rng = np.random.default_rng(0)
    scene = cv2.resize(rng.integers(0, 250, (16, 28, 3), np.uint8), (1984, 1144), interpolation=cv2.INTER_CUBIC)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, (1920, 1080))
    for index in range(frames):
        x, y = 32 + round(31 * np.sin(index / 9)), 32 + round(31 * np.cos(index / 7))
        writer.write(cv2.add(scene[y : y + 1080, x : x + 1920], rng.integers(0, 4, (1080, 1920, 3), np.uint8)))
    writer.release()


def alone(checkpoint: Path, video: Path) -> float:
    """Return the images per second of the model."""
    device, model = choose_device(), load_file(checkpoint, [checkpoint.parent])
    (source,) = find_sources([video])
    frames = np.stack([resize_image(frame.pixels, model.settings.input_size) for frame in read_frames(source)])
    predict(model, frames[:_BATCH], device, _BATCH)
    started = time.perf_counter()
    predict(model, frames, device, _BATCH)
    return len(frames) / (time.perf_counter() - started)


def command(checkpoint: Path, video: Path, overlays: bool) -> float:
    """Return the images per second that the command prints as its overall figure."""
    out, weights = checkpoint.with_name("predicted"), [checkpoint.parent]
    with redirect_stdout(StringIO()) as printed:
        predict_files(checkpoint, [video], out, _BATCH, overlays=overlays, overwrite=True, weights=weights)
    return float(re.findall(r"([\d.]+) overall", printed.getvalue())[0])


if __name__ == "__main__":
    main()
