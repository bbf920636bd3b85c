"""Build MTLEndovis from 1280x1024 frames: frames per second compared with a plain loop, and peak memory at two sizes.

    python -m benchmarks.build_dataset [--frames 2000] [--workers 2]

The frames are generated (synthetic, with sensor noise, so that PNG compression has work to do), in the layout of EndoVis 2018. A few
distinct frames are linked under many numbers. Every frame is read, decoded, checked, written and hashed.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import platform
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import psutil
from PIL import Image

from pipeline.datasets.build import assign_splits, write_dataset
from pipeline.datasets.kinds import KINDS
from pipeline.datasets.sample import Collected, CollectRequest
from pipeline.io.files import write_json
from pipeline.sources import endovis2018, vqla
from pipeline.sources.archives import prepare_root
from pipeline.sources.synthetic.endovis2018_tree import generate_endovis2018

Paths = tuple[Path, ...]

_DISTINCT_FRAMES = 60
_SIZE = 1024, 1280  # height and width in pixels
_PEER_FRAMES = 120
_FEW_FRAMES = 500


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, and save it as results/benchmarks/build_dataset.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=Path()) as name:
        folder = Path(name)
        _make_tree(folder / "tree", options.frames)
        few = min(_FEW_FRAMES, options.frames)
        rows = {
            f"ours, {options.workers} processes": _measure(folder, options.frames, options.workers),
            f"ours, {options.workers} processes, {few} frames": _measure(folder, few, options.workers),
            f"ours, 1 process, {few} frames": _measure(folder, few, 1),
            f"plain Pillow loop, {options.workers} processes": _measure_plain(folder, options.workers, _pillow_frame),
            f"plain OpenCV loop, {options.workers} processes": _measure_plain(folder, options.workers, _opencv_frame),
        }
    base_rate = rows[f"plain OpenCV loop, {options.workers} processes"]["frames_a_second"]
    print(
        f"\nBuilding MTLEndovis, 1280x1024 frames with hashing (synthetic), {platform.machine()}, {os.cpu_count()} CPUs"
    )
    print(f"{'':40}{'frames':>8}{'seconds':>10}{'frames/s':>10}{'ratio':>8}{'total peak MiB':>18}")
    for label, row in rows.items():
        ratio = row["frames_a_second"] / base_rate
        print(
            f"{label:40}{row['frames']:8.0f}{row['seconds']:10.1f}{row['frames_a_second']:10.1f}{ratio:8.2f}"
            f"{row['peak_mib']:18.0f}"
        )
    origin = {"date": datetime.now(UTC).strftime("%Y-%m-%d"), "machine": platform.machine(), "cpus": os.cpu_count()}
    write_json(Path("results/benchmarks/build_dataset.json"), {**origin, "data": "synthetic", "rows": rows})


def _make_tree(root: Path, frames: int) -> None:
    """Fill EndoVis 2018 folders with links to a few distinct generated frames."""
    distinct_root = root.with_name("stock")
    distinct_root.mkdir()
    generate_endovis2018(distinct_root, _DISTINCT_FRAMES, *_SIZE, seed=0, floor=2)
    tree, texts = endovis2018.read_tree(prepare_root(distinct_root)), vqla.find_2018(distinct_root)
    usable = [
        (frame, texts[key])
        for key, frame in tree.frames.items()
        if key in texts and frame.types == endovis2018.RAW_SETS[0]
    ]
    # seq_13 is not annotated, and the first frames of seq_1 are not part of the dataset.
    numbers = [number for number in endovis2018.SEQUENCES if number not in (1, 13)]
    for index in range(frames):
        frame, (text, *_) = usable[index % len(usable)]
        sequence = root / "release" / f"seq_{numbers[index % len(numbers)]}"
        name = f"frame{index // len(numbers):03d}"
        _link(frame.image, sequence / "left_frames" / f"{name}.png")
        assert frame.label is not None
        _link(frame.label, sequence / "labels" / f"{name}.png")
        for _, mask in frame.masks:
            _link(mask, sequence / endovis2018.RAW_SETS[0] / f"{name}_{mask.name.split('_', 1)[1]}")
        _link(text, root / "EndoVis-18-VQLA" / sequence.name / "vqla" / "label" / f"{name}_QA.txt")
    for index, path in enumerate(sorted(distinct_root.rglob("miccai*/labels.json"))):
        _link(path, root / "release" / str(index) / "labels.json")


def _link(source: Path, target: Path) -> None:
    """Link a file under another path."""
    target.parent.mkdir(parents=True, exist_ok=True)
    os.link(source, target)


def _measure(folder: Path, frames: int, workers: int) -> dict[str, float]:
    """Build in a separate process, so that only its own memory is measured."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_build, folder, frames, workers).result()


def _build(folder: Path, frames: int, workers: int) -> dict[str, float]:
    """Build the dataset from the first frames, and return the measurements."""
    with _measured(frames) as row:
        collected, request = _collect(folder)
        collected = Collected(collected.samples[:frames], collected.notes)
        split = assign_splits(collected.samples, "random_by_activity")
        labels = KINDS["mtlendovis"].labels
        card = {"name": "mtlendovis", "expected_frames": None}
        write_dataset(folder / "built", labels, collected, split, request.roots, card, workers)
    shutil.rmtree(folder / "built")
    return row


@contextmanager
def _measured(frames: int) -> Iterator[dict[str, float]]:
    """Time a block, and sample the resident memory of this process and all its children."""
    row: dict[str, float] = {"frames": frames, "peak_mib": 0.0}
    stop = threading.Event()

    def watch() -> None:
        process = psutil.Process()
        while not stop.wait(0.05):
            total = 0
            for member in (process, *process.children(recursive=True)):
                try:
                    total += member.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            row["peak_mib"] = max(row["peak_mib"], total / 2**20)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    started = time.perf_counter()
    try:
        yield row
    finally:
        row["seconds"] = time.perf_counter() - started
        row["frames_a_second"] = frames / row["seconds"]
        stop.set()
        watcher.join()


def _collect(folder: Path) -> tuple[Collected, CollectRequest]:
    """Collect the samples of the tree."""
    kind = KINDS["mtlendovis"]
    recipe = kind.recipes["random_by_activity"]
    request = CollectRequest("mtlendovis", kind.labels, dict.fromkeys(recipe.sources, folder / "tree"))
    return recipe.collect(request), request


def _measure_plain(folder: Path, workers: int, build: Callable[[Path, tuple[int, Paths]], None]) -> dict[str, float]:
    """Run a plain loop in a separate process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_build_plain, folder, workers, build).result()


def _build_plain(folder: Path, workers: int, build: Callable[[Path, tuple[int, Paths]], None]) -> dict[str, float]:
    """Run a plain loop over some frames, and return the measurements."""
    collected, _ = _collect(folder)
    paths = [sample.files for sample in collected.samples[:_PEER_FRAMES]]
    (folder / "plain").mkdir()
    with _measured(len(paths)) as row, ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        for _ in pool.map(partial(build, folder / "plain"), enumerate(paths)):
            pass
    shutil.rmtree(folder / "plain")
    return row


def _pillow_frame(folder: Path, item: tuple[int, Paths]) -> None:
    """Do what a script with Pillow does: decode, compare colours, encode, and hash the written file."""
    index, (image_path, label_path, *others) = item
    image, label = np.array(Image.open(image_path).convert("RGB")), np.array(Image.open(label_path).convert("RGB"))
    masks = [(path, np.array(Image.open(path).convert("L"))) for path in others if path.suffix == ".png"]
    for name, pixels in (("image", image), ("mask", _plain_mask(label, masks))):
        target = folder / f"{index}_{name}.png"
        Image.fromarray(pixels).save(target)
        hashlib.sha256(target.read_bytes()).hexdigest()


def _opencv_frame(folder: Path, item: tuple[int, Paths]) -> None:
    """Do the same as `_pillow_frame` with OpenCV."""
    cv2.setNumThreads(1)
    index, (image_path, label_path, *others) = item
    image, label = np.array(cv2.imread(str(image_path))), np.array(cv2.imread(str(label_path)))[..., ::-1]
    masks = [(path, np.array(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))) for path in others if path.suffix == ".png"]
    for name, pixels in (("image", image), ("mask", _plain_mask(label, masks))):
        target = folder / f"{index}_{name}.png"
        cv2.imwrite(str(target), pixels)
        hashlib.sha256(target.read_bytes()).hexdigest()


def _plain_mask(label: np.ndarray, masks: Sequence[tuple[Path, np.ndarray]]) -> np.ndarray:
    """Return the mask of class ids of a frame."""
    mask = np.zeros(label.shape[:2], np.uint8)
    for colour, class_id in (((12, 255, 141), 5), ((123, 15, 175), 6)):
        mask[(label == colour).all(axis=2)] = class_id
    for path, instrument in masks:
        mask[instrument > 0] = endovis2018.COMPATIBLE_2017[int(path.stem.split("_class")[1].split("_")[0])]
    return mask


if __name__ == "__main__":
    main()
