"""Predict images and videos of a user with a trained model: write masks, overlays, and one row per frame."""

from __future__ import annotations

import csv
import io
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
from PIL import Image
from tqdm import tqdm

from endoarss.checkpoint_header import read_header
from endoarss.devices import choose_device
from endoarss.errors import MediaError
from endoarss.inference.frame_kinds import FrameKinds
from endoarss.inference.media import Frame, Source, count_frames, find_sources, read_frames
from endoarss.inference.predictor import Prediction, Predictor, PreparedFrame, preprocessing_of_checkpoint
from endoarss.prediction import Predictions
from pipeline.datasets.kinds import KINDS
from pipeline.errors import InputError
from pipeline.inference import output_folder
from pipeline.inference.batch_pipeline import run_batches
from pipeline.inference.overlay import OverlayDrawer, distinct_palette
from pipeline.io.files import whole_file, write_text
from pipeline.io.hashing import sha256_of
from pipeline.io.images import Pixels
from pipeline.labels.classes import Rgb
from pipeline.redaction import masked
from pipeline.results.checkpoints import load_file, write_standalone
from pipeline.results.code_version import code_version
from pipeline.results.provenance import software, write_provenance

MORE_KINDS = (
    "More kinds of frames are cropped, or do not look like the training frames; predictions.json lists all of them."
)
_MAX_JPEG_SIDE = 65_500  # pixels
_MAX_WRITERS = 8  # threads; drawing and compressing a frame of 1280x1024 pixels takes one thread 20 ms


def predict_inputs(
    checkpoint: Path,
    inputs: Sequence[Path],
    out: Path | None,
    standalone: Path | None,
    no_overlays: bool,
    weights: Sequence[Path],
    components: Sequence[str],
    **options: Any,
) -> None:
    """Predict as `predict_files` does, write a standalone checkpoint as `write_standalone` does, or both.

    Raises:
        InputError: if inputs are given without `out` or `out` without inputs, or if there is nothing to do.
    """
    if bool(inputs) != bool(out) or not (inputs or standalone):
        raise InputError("predict needs at least one INPUT together with --out DIR, or --standalone FILE, or both.")
    if standalone is not None:
        write_standalone(checkpoint, standalone, weights, components)
        print(f"{standalone}: the checkpoint with its frozen weights; it needs no other file.")
    if out is not None:
        predict_files(
            checkpoint, inputs, out, overlays=not no_overlays, weights=weights, components=components, **options
        )


def predict_files(
    checkpoint: Path,
    inputs: Sequence[Path],
    out: Path,
    batch_size: int = 16,
    every: int = 1,
    overlays: bool = True,
    overwrite: bool = False,
    weights: Sequence[Path] = (),
    components: Sequence[str] = (),
    half: bool = False,
) -> None:
    """Write masks/<name>.png, overlays/<name>.jpg, legend.csv, predictions.csv, and their provenance in predictions.json.

    Frames are prepared like training frames. A note names each kind of frame that looks different; see `endoarss.inference.frame_kinds`.

    Args:
        checkpoint: a checkpoint of `endoarss train` or `merge`.
        inputs: images, videos, and folders that are searched for both.
        out: the folder of results, see `pipeline.inference.output_folder.check_output`.
        batch_size: number of frames per batch.
        every: with N, only each N-th frame of a video is predicted.
        overlays: whether to write overlays.
        overwrite: whether to replace the results of an earlier run in `out`, after all frames are predicted.
        weights, components: as `load_file` takes them.
        half: whether to run the model in bfloat16 (GPUs only) instead of float32.

    Raises:
        InputError: if an option or `out` cannot be used; and, after all results are written, if an input could not be read completely.
        MediaError: if `find_sources` refuses an input, or if a batch does not fit into the device's memory.
        SettingsError: if the checkpoint cannot be loaded.
    """
    _check_options(checkpoint, batch_size, every)
    sources = find_sources(inputs)
    output_folder.check_output(out, inputs, overwrite)
    predictor = _load(checkpoint, weights, components, half)
    model, provenance = predictor.model, read_header(checkpoint).provenance
    kinds = FrameKinds(predictor.preprocessing, model.settings.input_size, MORE_KINDS)
    with output_folder.locked(out, checkpoint), output_folder.partial_results(out, inputs, overwrite) as unfinished:
        entries = {
            "checkpoint": str(checkpoint),
            "checkpoint_sha256": sha256_of(checkpoint),
            "trained": provenance,
            "tasks": list(model.tasks),
            "every": every,
            "precision": model.precision,
            "code": code_version(),
            **software(),
        }
        totals = _predict_frames(predictor, kinds, _Writer(predictor, unfinished, overlays), sources, every, batch_size)
        write_provenance(unfinished / output_folder.ABOUT, {**entries, "frames": kinds.summary()})
        output_folder.replace(out, unfinished)
    synthetic = " The model was trained on synthetic data." if entries["trained"].get("synthetic") else ""
    print(
        f"{out}: {totals.count} images; {totals.count / totals.in_model:.2f} images per second in the model, "
        f"{totals.count / totals.overall:.2f} overall.{synthetic}"
    )
    if totals.failures:
        summary = f"{len(totals.failures)} of {len(sources)} inputs could not be read completely; all other frames are predicted:"
        raise InputError("\n  ".join((summary, *totals.failures)))


def _load(checkpoint: Path, weights: Sequence[Path], components: Sequence[str], half: bool) -> Predictor:
    device = choose_device()
    if half and device.type != "cuda":
        raise InputError("--half: needs a GPU, and torch finds none. Leave the option out to compute in float32.")
    model = load_file(checkpoint, weights, components)
    model.precision = "bf16" if half else "float32"
    preprocessing, note = preprocessing_of_checkpoint(checkpoint)
    if note:
        print(masked(note), file=sys.stderr)
    return Predictor(model, preprocessing, device)


def _check_options(checkpoint: Path, batch_size: int, every: int) -> None:
    for option, value in (("--batch-size", batch_size), ("--every", every)):
        if value < 1:
            raise InputError(f"{option} {value}; expected 1 or more.")
    if checkpoint.is_dir():
        raise InputError(f"{checkpoint}: a folder; expected a checkpoint, such as {checkpoint / 'model.safetensors'}.")


@dataclass
class _Totals:
    """Totals of a run.

    Attributes:
        count: number of predicted frames.
        in_model: seconds in the model.
        overall: seconds in total, including reading and writing.
        failures: a message per input that could not be read completely.
    """

    count: int = 0
    in_model: float = 0.0
    overall: float = 0.0
    failures: list[str] = field(default_factory=list)


def _predict_frames(
    predictor: Predictor,
    kinds: FrameKinds,
    writer: _Writer,
    sources: Sequence[Source],
    every: int,
    batch_size: int,
) -> _Totals:
    """Predict all frames, and write their results and the table.

    Raises:
        InputError: if no frame can be read.
    """
    totals, progress_lock = _Totals(), threading.Lock()
    with (
        (writer.out / output_folder.TABLE).open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream,
        tqdm(total=count_frames(sources, every), desc="predict", unit=" images", mininterval=0.5) as progress,
    ):
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(writer.columns)

        def compute(batch: Sequence[PreparedFrame]) -> Predictions:
            started = time.perf_counter()
            predictions = predictor.compute(batch)
            totals.count += len(batch)
            totals.in_model += time.perf_counter() - started
            return predictions

        def write(predictions: Predictions, position: int, prepared: PreparedFrame) -> list[str]:
            row = writer.write(predictor.result(predictions, position, prepared), prepared.frame)
            with progress_lock:
                progress.update()
            return row

        # One core is left for this thread, which runs the model and sometimes writes too.
        writers = max(1, min(_MAX_WRITERS, (os.cpu_count() or 1) - 1))
        started = time.perf_counter()
        frames = _read(sources, every, kinds, totals.failures)
        batches = iter(lambda: list(islice(frames, batch_size)), [])
        run_batches(batches, compute, write, table.writerow, writers)
        totals.overall = time.perf_counter() - started
        if not totals.count:
            raise InputError("\n  ".join(("no frame could be read:", *totals.failures)))
        for note in kinds.finish():
            tqdm.write(note, file=sys.stderr)
    return totals


def _read(sources: Sequence[Source], every: int, kinds: FrameKinds, failures: list[str]) -> Iterator[PreparedFrame]:
    """Yield every frame that can be read, prepared for the model. Append a message to `failures` for each input with an error."""
    for source in sources:
        try:
            for frame in read_frames(source, every):
                small, window, note = kinds.prepare(frame.pixels)
                if note:
                    tqdm.write(masked(f"{source.path}: {note}"), file=sys.stderr)
                yield PreparedFrame(frame, small, window)
        except MediaError as error:
            failures.append(str(error))


class _Writer:
    """Writes the results of frames, in any order and from several threads."""

    def __init__(self, predictor: Predictor, out: Path, overlays: bool) -> None:
        self.out, self.overlays = out, overlays
        classes = predictor.classes
        self.drawer = OverlayDrawer(classes, palette_of(classes)) if classes else OverlayDrawer()
        self.columns = ["source", "frame", "width", "height"]
        if classes:
            self.columns.append("mask")
            self._write_legend()
        if predictor.activities:
            self.columns += ["activity", "probability", *(f"p_{name}" for name in predictor.activities)]

    def _write_legend(self) -> None:
        text = io.StringIO(newline="")
        legend = csv.writer(text, lineterminator="\n")
        legend.writerow(["id", "name", "colour"])
        for index, (name, colour) in enumerate(zip(self.drawer.classes, self.drawer.palette, strict=True)):
            legend.writerow([index, name, "#{:02x}{:02x}{:02x}".format(*colour)])
        write_text(self.out / output_folder.LEGEND, text.getvalue())

    def write(self, prediction: Prediction, frame: Frame) -> list[str]:
        """Write mask and overlay of one frame, and return its row of the table."""
        height, width = frame.pixels.shape[:2]
        row = [str(frame.path), "" if frame.index is None else str(frame.index), str(width), str(height)]
        caption = None
        if prediction.mask is not None:
            path = self.out / output_folder.MASKS / f"{frame.name}.png"
            image = Image.fromarray(prediction.mask)
            image.putpalette([value for colour in self.drawer.palette for value in colour])
            with whole_file(path) as unfinished:
                image.save(unfinished, "PNG", compress_level=3)
            row.append(path.relative_to(self.out).as_posix())
        if prediction.activity is not None:
            probabilities = prediction.probabilities
            caption = (prediction.activity, probabilities[prediction.activity])
            row += [caption[0], f"{caption[1]:.6f}", *(f"{value:.6f}" for value in probabilities.values())]
        if self.overlays:
            self._write_overlay(frame.name, self.drawer.draw(frame.pixels, prediction.mask, caption))
        return row

    def _write_overlay(self, name: str, overlay: Pixels) -> None:
        suffix = "jpg" if max(overlay.shape) <= _MAX_JPEG_SIDE else "png"
        # Colours keep the full resolution, so that thin lines stay coloured. Unlike Pillow, OpenCV lets other threads run while it encodes.
        options = [cv2.IMWRITE_JPEG_QUALITY, 90, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
        _, encoded = cv2.imencode(
            f".{suffix}", cv2.cvtColor(overlay, cv2.COLOR_RGB2BGR), options if suffix == "jpg" else []
        )
        with whole_file(self.out / output_folder.OVERLAYS / f"{name}.{suffix}") as unfinished:
            unfinished.write_bytes(encoded.data)


def palette_of(classes: Sequence[str]) -> tuple[Rgb, ...]:
    """Return the colours of the benchmark's dataset with exactly these classes; if there is none, distinct colours."""
    known = (kind.labels for kind in KINDS.values())
    return next((labels.palette for labels in known if labels.classes == tuple(classes)), distinct_palette(classes))
