"""Surface distances compared with MONAI, and all metrics of a test set; one thread.

    python -m benchmarks.metrics [--repeats 5] [--images 400]

    distances       HD, HD95 and ASSD of 6 foreground classes of one image (7 labels with the background, which has no distance):
                    `surface_distances` compared with MONAI's compute_hausdorff_distance, without and with percentile=95, and
                    compute_average_surface_distance with symmetric=True, on one-hot masks that are made before the timing starts.
                    Medians of MONAI's three calls together, and of our one call, which returns all three. `differs` is the
                    largest difference of any value, in pixels.
    test set        `Evaluator` on complete masks and probabilities, all metrics, then the scores of both protocols
The masks are generated (synthetic): shafts with jaws, and blobs. The prediction is moved and has frayed edges; one row adds stray pixels.
`target` is what our code must reach; missed targets are listed at the end.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from endoarss.metrics import PROTOCOLS, Evaluator, surface_distances
from pipeline.io.files import write_json

Mask = NDArray[np.uint8]
Pair = tuple[Mask, Mask]
Size = tuple[int, int]

TARGET_RATIO, TARGET_AT = 6.0, "1280x1024"
TARGET_DIFFERENCE = 0.0005
TARGET_SECONDS, TARGET_IMAGES = 8.0, 400
CLASSES = 7
ACTIVITIES = 12
SIZES: tuple[Size, ...] = ((224, 224), (1280, 1024))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, and save it as results/benchmarks/metrics.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--images", type=int, default=TARGET_IMAGES)
    options = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    # MONAI warns of one of its own arguments, which it will remove.
    warnings.filterwarnings("ignore", category=FutureWarning, module="monai")
    print(f"\nDistances of 6 classes, one image, one thread (synthetic), {platform.machine()}, {os.cpu_count()} CPUs")
    print(f"{'ms':28}{'MONAI':>10}{'ours':>9}{'ratio':>8}{'differs, px':>14}")
    rows = {}
    for size in SIZES:
        for kind in ("moved and frayed", "with stray pixels"):
            name = f"{size[0]}x{size[1]} {kind}"
            rows[name] = measure_distances(make_pairs(size, 3, stray=kind == "with stray pixels"), options.repeats)
            row = rows[name]
            print(f"{name:28}{row['monai_ms']:10.1f}{row['ours_ms']:9.1f}{row['ratio']:8.1f}{row['differs']:14.1e}")
    test_set = measure_evaluator(options.images)
    print(f"\nA test set of {options.images} images at 224x224, every metric, one thread")
    print(
        f"{'adding images':28}{test_set['added_s']:10.2f} s{1000 * test_set['added_s'] / options.images:10.1f} ms per image"
    )
    print(f"{'scores of both protocols':28}{test_set['scored_s']:10.2f} s")
    print(f"{'total':28}{test_set['together_s']:10.2f} s")
    missed = find_missed(rows, test_set)
    print(f"missed targets: {'; '.join(missed) or 'none'}")
    origin = {"date": datetime.now(UTC).strftime("%Y-%m-%d"), "machine": platform.machine(), "cpus": os.cpu_count()}
    targets = {"ratio": TARGET_RATIO, "at": TARGET_AT, "difference": TARGET_DIFFERENCE, "seconds": TARGET_SECONDS}
    figures = {"distances": rows, "test_set": test_set, "asked": targets, "missed": missed}
    write_json(Path("results/benchmarks/metrics.json"), {**origin, "data": "synthetic", "classes": CLASSES, **figures})


def make_pairs(size: Size, count: int, stray: bool = False, seed: int = 0) -> list[Pair]:
    """Return ground truth and prediction of some images, uint8 (H, W), with all six classes in both.

    Args:
        size: width and height.
        count: the number of images.
        stray: whether each class has single pixels far from its area.
        seed: the seed of the masks.
    """
    return [_make_pair(size, np.random.default_rng([seed, number]), stray) for number in range(count)]


def _make_pair(size: Size, rng: np.random.Generator, stray: bool) -> Pair:
    """Return ground truth and prediction of one image."""
    width, height = size
    truth = np.zeros((height, width), np.uint8)
    for index in range(1, CLASSES):
        # Each class has its own strip, so that none hides another.
        x = (index - 0.5 + rng.uniform(-0.2, 0.2)) * width / (CLASSES - 1)
        y = rng.uniform(0.3, 0.7) * height
        _draw(truth, index, (x, y), min(size) / 10, rng)
    shift = rng.uniform(-0.02, 0.02, 2) * size
    # A smooth random field frays the edges: every pixel is read from a position near it.
    field = [cv2.resize(rng.normal(size=(24, 24)), size, interpolation=cv2.INTER_CUBIC) for _ in range(2)]
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    reach = min(size) / 100
    prediction = cv2.remap(
        truth,
        (columns + shift[0] + reach * field[0]).astype(np.float32),
        (rows + shift[1] + reach * field[1]).astype(np.float32),
        cv2.INTER_NEAREST,
    )
    if stray:
        for index in range(1, CLASSES):
            prediction[rng.integers(0, height, 4), rng.integers(0, width, 4)] = index
    return truth, prediction


def _draw(mask: Mask, index: int, centre: tuple[float, float], reach: float, rng: np.random.Generator) -> None:
    """Draw an instrument, a shaft with two jaws; every third class is a blob."""
    middle = np.array(centre)
    if index % 3 == 0:
        turns = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        radii = reach * rng.uniform(0.6, 1.1, turns.size)
        outline = middle + np.stack([np.cos(turns), np.sin(turns)], axis=1) * radii[:, None]
        cv2.fillPoly(mask, [outline.astype(np.int32)], index)
        return
    angle = rng.uniform(0.3, np.pi - 0.3)
    along = np.array([np.cos(angle), np.sin(angle)])
    thick = max(2, round(reach / 3))
    end = middle + 3 * reach * along
    cv2.line(mask, middle.astype(np.int32).tolist(), end.astype(np.int32).tolist(), index, thick)
    for turn in (-0.5, 0.5):
        jaw = middle - reach * np.array([np.cos(angle + turn), np.sin(angle + turn)])
        cv2.line(mask, middle.astype(np.int32).tolist(), jaw.astype(np.int32).tolist(), index, max(1, thick // 2))


def measure_distances(pairs: Sequence[Pair], repeats: int) -> dict[str, float]:
    """Return the median milliseconds per image, the ratio, and the largest difference of any value; both take turns."""
    ours, monai = [], []
    differs = 0.0
    for repeat in range(repeats + 1):
        for pair in pairs:
            hot = [_one_hot(mask) for mask in pair]
            distances, seconds = _timed(surface_distances, *pair, CLASSES)
            expected, monai_seconds = _timed(_of_monai, *hot)
            for values, name in zip(expected, ("hd", "hd95", "assd"), strict=True):
                differs = max(differs, float(np.abs(getattr(distances, name)[1:] - values).max()))
            if repeat:  # the first round is not timed
                ours.append(seconds)
                monai.append(monai_seconds)
    ours_ms, monai_ms = 1000 * statistics.median(ours), 1000 * statistics.median(monai)
    return {"ours_ms": ours_ms, "monai_ms": monai_ms, "ratio": monai_ms / ours_ms, "differs": differs}


def _one_hot(mask: Mask) -> torch.Tensor:
    """Return a mask as one-hot (1, C, H, W), as MONAI expects it."""
    return torch.from_numpy(np.stack([mask == index for index in range(CLASSES)])[None].astype(np.float32))


def _of_monai(truth: torch.Tensor, prediction: torch.Tensor) -> list[NDArray[np.float64]]:
    """Return MONAI's HD, HD95 and ASSD of the foreground classes."""
    # MONAI takes seconds to import.
    from monai.metrics.hausdorff_distance import compute_hausdorff_distance
    from monai.metrics.surface_distance import compute_average_surface_distance

    return [
        compute_hausdorff_distance(prediction, truth)[0].numpy(),
        compute_hausdorff_distance(prediction, truth, percentile=95)[0].numpy(),
        compute_average_surface_distance(prediction, truth, symmetric=True)[0].numpy(),
    ]


def _timed(work: Callable[..., Any], *options: Any) -> tuple[Any, float]:
    """Return the result of a call and its seconds."""
    started = time.perf_counter()
    result = work(*options)
    return result, time.perf_counter() - started


def measure_evaluator(images: int) -> dict[str, float]:
    """Return the seconds for adding a test set, and for scoring it under both protocols."""
    pairs = make_pairs((224, 224), images, seed=1)
    rng = np.random.default_rng(2)
    probabilities = rng.dirichlet(np.ones(ACTIVITIES), images)
    truths = rng.integers(0, ACTIVITIES, images)
    evaluator = Evaluator([f"class {index}" for index in range(CLASSES)], [f"activity {i}" for i in range(ACTIVITIES)])
    started = time.perf_counter()
    for pair, truth, options in zip(pairs, truths, probabilities, strict=True):
        evaluator.add(mask=pair, activity=(int(truth), options))
    added = time.perf_counter()
    for protocol in PROTOCOLS:
        evaluator.scores(protocol)
    scored = time.perf_counter()
    return {"images": images, "added_s": added - started, "scored_s": scored - added, "together_s": scored - started}


def find_missed(rows: dict[str, dict[str, float]], test_set: dict[str, float]) -> list[str]:
    """Return the missed targets, in words."""
    missed = []
    for name, row in rows.items():
        if name.startswith(TARGET_AT) and row["ratio"] < TARGET_RATIO:
            missed.append(f"{name} {row['ratio']:.1f} of {TARGET_RATIO:g} times")
        if row["differs"] >= TARGET_DIFFERENCE:
            missed.append(f"{name} differs by {row['differs']:.4f} px")
    if test_set["images"] >= TARGET_IMAGES and test_set["together_s"] > TARGET_SECONDS:
        missed.append(f"the test set {test_set['together_s']:.1f} s, at most {TARGET_SECONDS:g}")
    return missed


if __name__ == "__main__":
    main()
