"""What a trained model says of somebody's pictures and videos: masks, painted frames, and one row a frame."""

from __future__ import annotations

import csv
import io
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from endoarss.checkpoints import read_header
from endoarss.devices import choose_device, is_out_of_memory
from endoarss.models import MultiTaskModel
from endoarss.prediction import Predictions, predict
from endoarss.settings import ACTIVITY, SEGMENTATION
from pipeline.datasets.kinds import KINDS
from pipeline.datasets.preprocessing import Preprocessing
from pipeline.errors import InputError
from pipeline.inference.batch_pipeline import run_batches
from pipeline.inference.frame_kinds import FrameKinds, Window
from pipeline.inference.media import Source, count_frames, find_sources, read_frames
from pipeline.inference.overlay import Painter, distinct_palette
from pipeline.io.files import whole_file, write_text
from pipeline.io.hashing import sha256_of
from pipeline.io.images import Pixels
from pipeline.labels.classes import Rgb
from pipeline.locking.locks import HeldError, Holder, Lock, holder, release, take
from pipeline.redaction import masked
from pipeline.results.checkpoints import load_file
from pipeline.results.code_version import code_version
from pipeline.results.provenance import software, write_provenance

# What the step writes below its folder. The first comes first and tells whose the others are; the table comes last.
_ABOUT, _LEGEND, _TABLE = "predictions.json", "legend.csv", "predictions.csv"
_MASKS, _OVERLAYS = "masks", "overlays"
_LOCK = ".predict.lock"
_MAKING = ".predict.partial"  # where results are until all of them are there
_JPEG_SIDE = 65_500  # a JPEG cannot be longer
_WRITERS = 8  # threads at most: to paint and pack a frame of 1280x1024 keeps one busy for 20 ms


@dataclass(frozen=True)
class _Ready:
    """A frame as the model takes it (S, S, 3), and what its results need.

    window: what the model sees of the frame, None for the whole. pixels: None if nothing is painted.
    """

    source: Source
    index: int | None
    name: str
    width: int
    height: int
    window: Window | None
    small: Pixels
    pixels: Pixels | None


def predict_files(
    checkpoint: Path,
    inputs: Sequence[Path],
    out: Path,
    batch_size: int = 16,
    every: int = 1,
    overlays: bool = True,
    overwrite: bool = False,
    weights: Sequence[Path] = (),
    half: bool = False,
) -> None:
    """Write masks/<name>.png, overlays/<name>.jpg, legend.csv, predictions.csv, and what they came from as predictions.json.

    Frames are prepared as the checkpoint says that training frames were, see `pipeline.inference.frame_kinds`; which frames do not look
    like these is said on standard error, once for each kind. Frames stream: a batch is read, one is predicted and one is written at the
    same time, and no more than these three are in memory.

    Args:
        checkpoint: of `train`. inputs: pictures, videos, and folders that are searched. out: a new folder, or one without results.
        batch_size: frames that go through the model at once. every: N takes each Nth frame of a video.
        overlays: whether frames are painted. overwrite: replace what an earlier run wrote to `out`, once all frames are done.
        weights: files or folders where the frozen weights are looked for first.
        half: run the model in bfloat16, on a GPU alone; else in float32.

    Raises:
        InputError: if inputs or `out` are not usable, if `half` is asked for without a GPU, or if another process predicts into `out`;
            and at the end, by name, if some input could not be read whole.
        SettingsError: if the checkpoint is not usable.
    """
    for option, value in (("--batch-size", batch_size), ("--every", every)):
        if value < 1:
            raise InputError(f"{option} {value}; expected 1 or more.")
    if checkpoint.is_dir():
        raise InputError(f"{checkpoint}: a folder; expected a checkpoint, such as {checkpoint / 'model.safetensors'}.")
    sources = find_sources(inputs)
    _check_output(out, inputs, overwrite)
    device = choose_device()
    precision = _precision(half, device)
    header, model = read_header(checkpoint), load_file(checkpoint, weights)
    model.precision = precision
    kinds = FrameKinds(_preprocessing(checkpoint, header), model.settings.input_size)
    failures, count, in_model = list[str](), 0, 0.0
    with _alone(out, checkpoint), _partial_results(out, inputs, overwrite) as made:
        about = {
            "checkpoint": str(checkpoint),
            "checkpoint_sha256": sha256_of(checkpoint),
            "trained": header.get("provenance", {}),
            "tasks": list(model.tasks),
            "every": every,
            "precision": precision,
            "code": code_version(),
            **software(),
        }
        writer, one_at_a_time = _Writer(model, made, overlays), threading.Lock()
        with (
            (made / _TABLE).open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream,
            tqdm(total=count_frames(sources, every), desc="predict", unit=" images", mininterval=0.5) as progress,
        ):
            table = csv.writer(stream, lineterminator="\n")
            table.writerow(writer.columns)

            def compute(batch: Sequence[_Ready]) -> Predictions:
                nonlocal count, in_model
                before = time.perf_counter()
                predictions = _predict(model, batch, device)
                count, in_model = count + len(batch), in_model + time.perf_counter() - before
                return predictions

            def write(predictions: Predictions, position: int, ready: _Ready) -> list[str]:
                row = writer.write(predictions, position, ready)
                with one_at_a_time:
                    progress.update()
                return row

            # One core is left to the model, or to this thread's share of the writing.
            writers = max(1, min(_WRITERS, (os.cpu_count() or 1) - 1))
            started = time.perf_counter()
            batches = _batches(_read(sources, every, kinds, overlays, failures), batch_size)
            run_batches(batches, compute, write, table.writerow, writers)
            overall = time.perf_counter() - started
            if not count:
                raise InputError("\n  ".join(("nothing could be read:", *failures)))
            for note in kinds.finish():
                tqdm.write(note, file=sys.stderr)
        write_provenance(made / _ABOUT, {**about, "frames": kinds.summary()})
        _replace(out, made)
    synthetic = " The model was trained on synthetic data." if about["trained"].get("synthetic") else ""
    print(
        f"{out}: {count} images; {count / in_model:.2f} images per second in the model, {count / overall:.2f} overall.{synthetic}"
    )
    if failures:
        lines = (f"{len(failures)} of {len(sources)} inputs could not be read whole; the rest is done:", *failures)
        raise InputError("\n  ".join(lines))


def _precision(half: bool, device: torch.device) -> str:
    if half and device.type != "cuda":
        raise InputError("--half: is for GPUs, and torch finds none here. Leave it out; a CPU computes in float32.")
    return "bf16" if half else "float32"


def _preprocessing(checkpoint: Path, header: dict[str, Any]) -> Preprocessing | None:
    """Return how the training frames of a checkpoint were prepared, or None, with a note, if an earlier version wrote it."""
    given = header.get("provenance", {}).get("preprocessing")
    if given is not None:
        return Preprocessing.from_dict(given, str(checkpoint))
    note = (
        f"{checkpoint}: does not say how its training frames were prepared, because an earlier version wrote it. Frames are resized "
        "whole; crop raw EndoVis 2017 frames yourself, or train the model again."
    )
    print(masked(note), file=sys.stderr)
    return None


@contextmanager
def _alone(out: Path, checkpoint: Path) -> Iterator[None]:
    """Hold the lock of a folder of results while the block runs.

    Raises:
        InputError: if another process holds it.
    """
    lock = Lock(out / _LOCK)
    try:
        descriptor = take(lock, Holder.here("predict", f"predicts with {checkpoint}"), wait=False)
    except HeldError:
        raise InputError(
            f"--out {out}: {holder(lock.path) or 'another process'} writes there. Wait for it, or choose another folder."
        ) from None
    try:
        yield
    finally:
        lock.path.unlink(missing_ok=True)
        if descriptor is not None:
            release(descriptor)


@contextmanager
def _partial_results(out: Path, inputs: Sequence[Path], overwrite: bool) -> Iterator[Path]:
    """Give an empty folder in `out` for results until all of them are there; nothing of it stays, whatever happens."""
    _check_output(out, inputs, overwrite)  # again, because another run may have ended meanwhile
    made = out / _MAKING
    shutil.rmtree(made, ignore_errors=True)  # of a run that was killed
    made.mkdir()
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _check_output(out: Path, inputs: Sequence[Path], overwrite: bool) -> None:
    place = out.resolve()
    for given in inputs:
        path = given.resolve()
        if place == path or (path.is_dir() and place.is_relative_to(path)):
            raise InputError(f"--out {out}: is the input {given} or lies in it. Choose a folder outside of all inputs.")
        if any(path.is_relative_to(place / name) for name in (_MASKS, _OVERLAYS)):
            raise InputError(f"--out {out}: its results would lie where the input {given} is. Choose another folder.")
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out}: a file; expected a folder, or nothing there yet.")
    for name in (_MASKS, _OVERLAYS):
        if (out / name).is_symlink():
            raise InputError(f"--out {out}: its {name} is a link, which is not replaced. Choose another folder.")
    there = [name for name in (_TABLE, _MASKS, _OVERLAYS, _LEGEND, _ABOUT) if (out / name).exists()]
    # A folder of masks may be somebody's work of months: only what this step wrote is ever replaced.
    if there and not (out / _ABOUT).is_file():
        raise InputError(
            f"--out {out}: holds {', '.join(there)}, but no {_ABOUT}, so `predict` did not write it. Choose another folder."
        )
    if there and not overwrite:
        raise InputError(
            f"--out {out}: holds {', '.join(there)} of an earlier run. Choose another folder, or add --overwrite to replace them."
        )


def _replace(out: Path, made: Path) -> None:
    """Put results in the place of those of an earlier run: the old table goes first, and the new one comes last."""
    for name in (_TABLE, _LEGEND):
        (out / name).unlink(missing_ok=True)
    for name in (_MASKS, _OVERLAYS):
        if (out / name).exists():
            shutil.rmtree(out / name)
    for name in (_ABOUT, _LEGEND, _MASKS, _OVERLAYS, _TABLE):
        if (made / name).exists():
            (made / name).replace(out / name)


def _read(
    sources: Sequence[Source], every: int, kinds: FrameKinds, keep: bool, failures: list[str]
) -> Iterator[_Ready]:
    """Every frame that can be read; what cannot is told in `failures`."""
    for source in sources:
        try:
            for frame in read_frames(source, every):
                height, width = frame.pixels.shape[:2]
                small, window, note = kinds.prepare(frame.pixels)
                if note:
                    tqdm.write(masked(f"{source.path}: {note}"), file=sys.stderr)
                pixels = frame.pixels if keep else None
                yield _Ready(source, frame.index, frame.name, width, height, window, small, pixels)
        except InputError as error:
            failures.append(str(error))


def _batches(frames: Iterator[_Ready], size: int) -> Iterator[list[_Ready]]:
    while batch := list(islice(frames, size)):
        yield batch


def _predict(model: MultiTaskModel, batch: Sequence[_Ready], device: torch.device) -> Predictions:
    try:
        found = predict(model, np.stack([ready.small for ready in batch]), device, len(batch))
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise InputError(
            f"--batch-size {len(batch)}: too many images at once for the memory of {device}. Try fewer."
        ) from None
    if found.activity is not None and not np.isfinite(found.activity).all():
        raise InputError(
            f"{batch[0].source.path}: the model gives probabilities that are no numbers; its checkpoint is not usable."
        )
    return found


class _Writer:
    """Writes the results of frames, in any order and from several threads."""

    def __init__(self, model: MultiTaskModel, out: Path, overlays: bool) -> None:
        self.out, self.overlays = out, overlays
        classifies, segments = ACTIVITY in model.tasks, SEGMENTATION in model.tasks
        self.activities = model.settings.activities if classifies else ()
        classes = model.settings.classes if segments else ()
        self.painter = Painter(classes, palette_of(classes)) if segments else Painter()
        self.columns = ["source", "frame", "width", "height"]
        if segments:
            self.columns.append("mask")
            self._write_legend()
        if classifies:
            self.columns += ["activity", "probability", *(f"p_{name}" for name in self.activities)]

    def _write_legend(self) -> None:
        text = io.StringIO(newline="")
        legend = csv.writer(text, lineterminator="\n")
        legend.writerow(["id", "name", "colour"])
        for index, (name, colour) in enumerate(zip(self.painter.classes, self.painter.palette, strict=True)):
            legend.writerow([index, name, "#{:02x}{:02x}{:02x}".format(*colour)])
        write_text(self.out / _LEGEND, text.getvalue())

    def write(self, predictions: Predictions, position: int, ready: _Ready) -> list[str]:
        """Write mask and overlay of one frame, the one at this position among the predictions; return its row."""
        row = [
            str(ready.source.path),
            "" if ready.index is None else str(ready.index),
            str(ready.width),
            str(ready.height),
        ]
        mask, caption = None, None
        if predictions.masks is not None:
            mask = enlarge_mask(predictions.masks[position], ready.width, ready.height, ready.window)
            path = self.out / _MASKS / f"{ready.name}.png"
            stored = Image.fromarray(mask)
            stored.putpalette([value for colour in self.painter.palette for value in colour])
            with whole_file(path) as unfinished:
                stored.save(unfinished, "PNG", compress_level=3)
            row.append(path.relative_to(self.out).as_posix())
        if predictions.activity is not None:
            shares = predictions.activity[position]
            caption = (self.activities[int(shares.argmax())], float(shares.max()))
            row += [caption[0], f"{caption[1]:.6f}", *(f"{share:.6f}" for share in shares)]
        if ready.pixels is not None:
            self._write_overlay(ready.name, self.painter.paint(ready.pixels, mask, caption))
        return row

    def _write_overlay(self, name: str, painted: Pixels) -> None:
        suffix = "jpg" if max(painted.shape) <= _JPEG_SIDE else "png"
        # Colour at full size: thin lines keep theirs. OpenCV encodes while other threads run, which Pillow does not let them.
        options = [cv2.IMWRITE_JPEG_QUALITY, 90, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
        _, encoded = cv2.imencode(
            f".{suffix}", cv2.cvtColor(painted, cv2.COLOR_RGB2BGR), options if suffix == "jpg" else []
        )
        with whole_file(self.out / _OVERLAYS / f"{name}.{suffix}") as unfinished:
            unfinished.write_bytes(encoded.data)


def enlarge_mask(mask: Pixels, width: int, height: int, window: Window | None = None) -> Pixels:
    """Return a mask at the size of its frame, by nearest pixels.

    Args:
        mask: class ids uint8 (S, S) of what the model saw.
        width, height: of the frame.
        window: top, bottom, left and right of what the model saw, None for the whole frame; outside of it is background.
    """
    if window is None:
        return cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    top, bottom, left, right = window
    whole = np.zeros((height, width), np.uint8)
    whole[top:bottom, left:right] = enlarge_mask(mask, right - left, bottom - top)
    return whole


def palette_of(classes: Sequence[str]) -> tuple[Rgb, ...]:
    """The colours of the benchmark's dataset that has these classes, else colours that are told apart well."""
    known = (kind.labels for kind in KINDS.values())
    return next((labels.palette for labels in known if labels.classes == tuple(classes)), distinct_palette(classes))
