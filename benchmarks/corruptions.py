"""Corruptions compared with the reference library on one thread: milliseconds, ratios, memory, and the cost of a first call.

    python -m benchmarks.corruptions [--size 1280x1024] [--repeats 5] [--names zoom_blur smoke ...]

On a generated frame (synthetic), at severity 3:
    time            medians after one untimed call. Both backends take turns, and every repeat has its own seed
    memory          the peak of the fast backend beyond input and output, in bytes per pixel and channel. Each corruption runs in its
                    own process after a small warm-up, and the system reports the peak (Linux)
    first call      seconds of a fresh process for imports and one call at 224x224, with and without compiled code on disk
    sweep           five severities of one 256x256 image: five calls of the reference, and one `sweep`
`target` is the goal of the fast backend at 1280x1024. Missed targets are listed at the end.
"""

from __future__ import annotations

import argparse
import ctypes
import multiprocessing
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from corruptions import CORRUPTIONS, SEVERITIES, corrupt, sweep
from pipeline.io.files import write_json
from pipeline.sources.synthetic.casts import cast_frame
from pipeline.sources.synthetic.scenes import render_scene
from pipeline.sources.synthetic.tissue import sample_style

Image = NDArray[np.uint8]
Size = tuple[int, int]
Work = Callable[[int], object]

# Target speed relative to the reference, at 1280x1024.
TARGET_RATIO = {
    "gaussian_noise": 2.5,
    "shot_noise": 4.0,
    "impulse_noise": 3.0,
    "speckle_noise": 2.0,
    "defocus_blur": 1.5,
    "gaussian_blur": 4.0,
    "glass_blur": 4.0,
    "motion_blur": 4.0,
    "zoom_blur": 15.0,
    "brightness": 50.0,
    "spatter": 2.0,
    "contrast": 8.0,
    "elastic_transform": 5.0,
    "saturate": 20.0,
}
TARGET_MS = {"bleeding": 60.0, "smoke": 60.0}
TARGET_BYTES = 12.0  # per pixel and channel
TARGET_SWEEP = 4.0  # speed of a sweep relative to five calls of the reference
WITHOUT_REFERENCE = ("bleeding", "smoke", "gamma_correction")

_SMALL: Size = (224, 224)
_SWEPT: Size = (256, 256)  # the image of the sweeps
_WARM_UP = 64  # side of the warm-up image in pixels
_SEVERITY = 3
_FIRST_CALL = f"""
import sys, time
started = time.perf_counter()
import numpy as np
from corruptions import corrupt
image = np.fromfile(sys.argv[1], np.uint8).reshape(224, 224, 3)
for name in sys.argv[2:]:
    corrupt(image, name, {_SEVERITY}, backend="fast")
print(time.perf_counter() - started)
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables, and save them as results/benchmarks/corruptions.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=parse_size, default=(1280, 1024), help="width x height")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--names", nargs="+", choices=CORRUPTIONS, default=CORRUPTIONS, metavar="NAME")
    options = parser.parse_args(arguments)
    os.environ.update(NUMBA_NUM_THREADS="1", OMP_NUM_THREADS="1")
    cv2.setNumThreads(1)
    large = label(options.size)
    print(f"\nCorruptions at severity {_SEVERITY}, one thread (synthetic), {platform.machine()}, {os.cpu_count()} CPUs")
    print(f"{'':18}{label(_SMALL):>27}{large:>30}{'':13}{'beyond in-':>11}{'first call, s':>18}")
    print(
        f"{'ms':18}{'reference':>10}{'fast':>9}{'ratio':>8}{'reference':>13}{'fast':>9}{'ratio':>8}{'target':>13}"
        f"{'/output, B':>11}{'cached':>9}{'compiled':>9}"
    )
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        frames = {size: write_frame(Path(folder), size) for size in {options.size, _SMALL}}
        for name in options.names:
            rows[name] = measure(name, frames, options.size, options.repeats)
            print(line(name, rows[name], large), flush=True)
        cached, compiled = first_call(frames[_SMALL], options.names)
    print(f"{f'one process for all {len(rows)}':108}{cached:9.2f}{compiled:9.2f}")
    swept = measure_sweeps(options.names, options.repeats)
    missed = find_missed(rows, swept, large)
    print(f"missed targets: {'; '.join(missed) or 'none'}")
    origin = {"date": datetime.now(UTC).strftime("%Y-%m-%d"), "machine": platform.machine(), "cpus": os.cpu_count()}
    figures = {"rows": rows, "first_call_of_all": {"kept_s": cached, "compiled_s": compiled}, "sweep": swept}
    targets = {"ratio": TARGET_RATIO, "ms": TARGET_MS, "bytes": TARGET_BYTES, "sweep_ratio": TARGET_SWEEP}
    settings = {"data": "synthetic", "severity": _SEVERITY, "size": large, "repeats": options.repeats}
    write_json(
        Path("results/benchmarks/corruptions.json"),
        {**origin, **settings, **figures, "asked": targets, "missed": missed},
    )


def parse_size(text: str) -> Size:
    """Return (width, height) of a text such as "1280x1024", with at least 32 pixels per side."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match or min(size := (int(match[1]), int(match[2]))) < 32:
        raise argparse.ArgumentTypeError(
            f"{text!r}; expected width x height, such as 1280x1024, at least 32 pixels per side."
        )
    return size


def label(size: Size) -> str:
    """Return a size as the table shows it: "1280x1024"."""
    return f"{size[0]}x{size[1]}"


def make_frame(size: Size) -> Image:
    """Return a generated frame, uint8 RGB (H, W, 3)."""
    rng = np.random.default_rng(0)
    return render_scene(cast_frame("cutting", rng), sample_style(rng), size[1], size[0], rng).image


def write_frame(folder: Path, size: Size) -> Path:
    """Write a generated frame as raw bytes, which other processes read without further memory."""
    path = folder / f"{label(size)}.raw"
    make_frame(size).tofile(path)
    return path


def read_frame(path: Path) -> Image:
    """Return a frame that `write_frame` wrote."""
    width, height = map(int, path.stem.split("x"))
    return np.fromfile(path, np.uint8).reshape(height, width, 3)


def measure(name: str, frames: dict[Size, Path], size: Size, repeats: int) -> dict[str, Any]:
    """Return all figures of one corruption."""
    row: dict[str, Any] = {}
    for frame_size in dict.fromkeys((_SMALL, size)):
        image = read_frame(frames[frame_size])
        works: dict[str, Work] = {"fast": partial(_once, image, name, "fast")}
        if name not in WITHOUT_REFERENCE:
            works["reference"] = partial(_once, image, name, "reference")
        row[label(frame_size)] = side_by_side(works, repeats)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        row["memory_bytes"] = pool.submit(additional_memory, name, frames[size]).result()
    row["first_call_kept_s"], row["first_call_compiled_s"] = first_call(frames[_SMALL], [name])
    return row


def _once(image: Image, name: str, backend: str, seed: int) -> object:
    """Corrupt an image once."""
    return corrupt(image, name, _SEVERITY, seed=seed, backend=backend)


def side_by_side(works: dict[str, Work], repeats: int) -> dict[str, float]:
    """Return the median milliseconds of each backend, and their ratio. The backends take turns, with the number of the repeat as seed."""
    for work in works.values():
        work(0)
    times: dict[str, list[float]] = {backend: [] for backend in works}
    for repeat in range(1, repeats + 1):
        for backend, work in works.items():
            started = time.perf_counter()
            work(repeat)
            times[backend].append(1000 * (time.perf_counter() - started))
    figures = {f"{backend}_ms": statistics.median(values) for backend, values in times.items()}
    if "reference" in works:
        figures["ratio"] = figures["reference_ms"] / figures["fast_ms"]
    return figures


def additional_memory(name: str, path: Path) -> float | None:
    """Return the bytes per pixel and channel beyond input and output at the worst severity. Run this in its own process."""
    cv2.setNumThreads(1)
    image = read_frame(path)
    peaks = []
    for severity in SEVERITIES:
        work = partial(corrupt, image, name, severity, backend="fast")
        corrupt(image[:_WARM_UP, :_WARM_UP].copy(), name, severity, backend="fast")
        peaks.append(peak_memory(work))
    return None if None in peaks else max(peak for peak in peaks if peak is not None) / image.size


def peak_memory(work: Callable[[], np.ndarray]) -> int | None:
    """Return the resident bytes that a call needs at its peak besides its result, or None on systems other than Linux.

    Memory that numpy, OpenCV or compiled code allocates is counted.
    """
    if sys.platform != "linux":
        return None
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)  # otherwise the call could reuse freed memory, which would not be counted
    Path("/proc/self/clear_refs").write_text("5")  # reset the peak
    before = _resident("VmRSS")
    result = work()
    return max(_resident("VmHWM") - before - result.nbytes, 0)


def _resident(field: str) -> int:
    """Return a memory figure of this process, in bytes."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0]) * 1024


def first_call(path: Path, names: Sequence[str]) -> tuple[float, float]:
    """Return the seconds of a fresh process that calls each corruption once, with and without compiled code on disk. Imports count."""
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, "-c", _FIRST_CALL, str(path), *names]
        environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
        compiled, cached = (
            float(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)
            for _ in range(2)
        )
    return cached, compiled


def measure_sweeps(names: Sequence[str], repeats: int) -> dict[str, Any]:
    """Measure a sweep over five severities of each corruption with a reference, and print each and the total."""
    image = make_frame(_SWEPT)
    rows = {}
    for name in names:
        if name in WITHOUT_REFERENCE:
            continue
        works: dict[str, Work] = {
            "reference": partial(_five_calls, image, name),
            "fast": partial(_sweep, image, name),
        }
        rows[name] = side_by_side(works, repeats)
    figures: dict[str, Any] = {"size": label(_SWEPT), "rows": rows}
    if rows:
        reference, fast = (sum(row[key] for row in rows.values()) for key in ("reference_ms", "fast_ms"))
        figures.update(reference_ms=reference, fast_ms=fast, ratio=reference / fast)
        print(f"\n{f'five severities at {label(_SWEPT)}, ms':38}{'reference':>10}{'sweep':>9}{'ratio':>8}{'target':>8}")
        for name, row in rows.items():
            print(f"{name:38}{row['reference_ms']:10.1f}{row['fast_ms']:9.1f}{row['ratio']:8.1f}")
        print(f"{f'all {len(rows)}':38}{reference:10.1f}{fast:9.1f}{figures['ratio']:8.1f}{TARGET_SWEEP:8.1f}")
    return figures


def _five_calls(image: Image, name: str, seed: int) -> object:
    """Corrupt an image at five severities with the reference."""
    return [corrupt(image, name, severity, seed=seed, backend="reference") for severity in SEVERITIES]


def _sweep(image: Image, name: str, seed: int) -> object:
    """Corrupt an image at five severities with `sweep`."""
    return sweep(image, name, seed=seed, backend="fast")


def line(name: str, row: dict[str, Any], large: str) -> str:
    """Return one row of the table."""
    shown = f"{name:18}"
    for size, width in ((label(_SMALL), 10), (large, 13)):
        times = row[size]
        reference = f"{times['reference_ms']:.1f}" if "ratio" in times else "-"
        ratio = f"{times['ratio']:.1f}" if "ratio" in times else "-"
        shown += f"{reference:>{width}}{times['fast_ms']:9.1f}{ratio:>8}"
    target = f"{TARGET_RATIO[name]:g} times" if name in TARGET_RATIO else "-"
    target = f"{TARGET_MS[name]:g} ms" if name in TARGET_MS else target
    memory = "-" if row["memory_bytes"] is None else f"{row['memory_bytes']:.1f}"
    return f"{shown}{target:>13}{memory:>11}{row['first_call_kept_s']:9.2f}{row['first_call_compiled_s']:9.2f}"


def find_missed(rows: dict[str, dict[str, Any]], swept: dict[str, Any], large: str) -> list[str]:
    """Return the missed targets, in words."""
    missed = []
    for name, row in rows.items():
        if name in TARGET_RATIO and row[large]["ratio"] < TARGET_RATIO[name]:
            missed.append(f"{name} {row[large]['ratio']:.1f} of {TARGET_RATIO[name]:g} times")
        if name in TARGET_MS and row[large]["fast_ms"] > TARGET_MS[name]:
            missed.append(f"{name} {row[large]['fast_ms']:.0f} ms, at most {TARGET_MS[name]:g}")
        if row["memory_bytes"] is not None and row["memory_bytes"] > TARGET_BYTES:
            missed.append(f"{name} {row['memory_bytes']:.1f} bytes, at most {TARGET_BYTES:g}")
    if swept.get("ratio", TARGET_SWEEP) < TARGET_SWEEP:
        missed.append(f"the sweep {swept['ratio']:.1f} of {TARGET_SWEEP:g} times")
    return missed


if __name__ == "__main__":
    main()
