"""What a trained model says of somebody's pictures and videos: masks, painted frames, and one row a frame."""

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
from pipeline.inference.overlay import Painter, distinct_palette
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
_JPEG_SIDE = 65_500  # a JPEG cannot be longer
_WRITERS = 8  # threads at most: to paint and pack a frame of 1280x1024 keeps one busy for 20 ms


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
    """Predict, see `predict_files`, write a standalone checkpoint, see `write_standalone`, or both.

    Raises:
        InputError: if there is nothing to predict and no checkpoint to write.
    """
    if bool(inputs) != bool(out) or not (inputs or standalone):
        raise InputError("predict needs at least one INPUT and --out DIR, or --standalone FILE alone.")
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
    """Write masks/<name>.png, overlays/<name>.jpg, legend.csv, predictions.csv, and what they came from as predictions.json.

    Frames are prepared as training frames were, see `endoarss.inference.frame_kinds`; which frames do not look like these is said on
    standard error, once per kind. Frames stream: a batch is read, one is predicted and one is written at the same time, and no more is
    in memory.

    Args:
        checkpoint: of `train`. inputs: pictures, videos, and folders that are searched. out: a new folder, or one without results.
        batch_size: frames that go through the model at once. every: N takes each Nth frame of a video.
        overlays: whether frames are painted. overwrite: replace what an earlier run wrote to `out`, once all frames are done.
        weights, components: as `load_file` takes them. half: run the model in bfloat16, on a GPU alone; else in float32.

    Raises:
        InputError: if inputs or `out` are not usable, if `half` is asked for without a GPU, or if another process predicts into `out`;
            and at the end, by name, if some input could not be read whole.
        MediaError: if an input is missing, or is neither a picture nor a video.
        SettingsError: if the checkpoint is not usable.
    """
    _check_options(checkpoint, batch_size, every)
    sources = find_sources(inputs)
    output_folder.check_output(out, inputs, overwrite)
    predictor = _load(checkpoint, weights, components, half)
    model, provenance = predictor.model, read_header(checkpoint).provenance
    kinds = FrameKinds(predictor.preprocessing, model.settings.input_size, MORE_KINDS)
    with output_folder.alone(out, checkpoint), output_folder.partial_results(out, inputs, overwrite) as made:
        about = {
            "checkpoint": str(checkpoint),
            "checkpoint_sha256": sha256_of(checkpoint),
            "trained": provenance,
            "tasks": list(model.tasks),
            "every": every,
            "precision": model.precision,
            "code": code_version(),
            **software(),
        }
        done = _stream(predictor, kinds, _Writer(predictor, made, overlays), sources, every, batch_size)
        write_provenance(made / output_folder.ABOUT, {**about, "frames": kinds.summary()})
        output_folder.replace(out, made)
    synthetic = " The model was trained on synthetic data." if about["trained"].get("synthetic") else ""
    print(
        f"{out}: {done.count} images; {done.count / done.in_model:.2f} images per second in the model, "
        f"{done.count / done.overall:.2f} overall.{synthetic}"
    )
    if done.failures:
        said = f"{len(done.failures)} of {len(sources)} inputs could not be read whole; the rest is done:"
        raise InputError("\n  ".join((said, *done.failures)))


def _load(checkpoint: Path, weights: Sequence[Path], components: Sequence[str], half: bool) -> Predictor:
    device = choose_device()
    if half and device.type != "cuda":
        raise InputError("--half: is for GPUs, and torch finds none here. Leave it out; a CPU computes in float32.")
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
class _Done:
    """What was predicted. count: images. in_model, overall: seconds. failures: what could not be read."""

    count: int = 0
    in_model: float = 0.0
    overall: float = 0.0
    failures: list[str] = field(default_factory=list)


def _stream(
    predictor: Predictor,
    kinds: FrameKinds,
    writer: _Writer,
    sources: Sequence[Source],
    every: int,
    batch_size: int,
) -> _Done:
    """Predict all frames and write their results and the table.

    Raises:
        InputError: if nothing can be read.
    """
    done, one_at_a_time = _Done(), threading.Lock()
    with (
        (writer.out / output_folder.TABLE).open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream,
        tqdm(total=count_frames(sources, every), desc="predict", unit=" images", mininterval=0.5) as progress,
    ):
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(writer.columns)

        def compute(batch: Sequence[PreparedFrame]) -> Predictions:
            before = time.perf_counter()
            predictions = predictor.compute(batch)
            done.count, done.in_model = done.count + len(batch), done.in_model + time.perf_counter() - before
            return predictions

        def write(predictions: Predictions, position: int, prepared: PreparedFrame) -> list[str]:
            row = writer.write(predictor.result(predictions, position, prepared), prepared.frame)
            with one_at_a_time:
                progress.update()
            return row

        # One core is left to the model, or to this thread's share of the writing.
        writers = max(1, min(_WRITERS, (os.cpu_count() or 1) - 1))
        started = time.perf_counter()
        frames = _read(sources, every, kinds, done.failures)
        batches = iter(lambda: list(islice(frames, batch_size)), [])
        run_batches(batches, compute, write, table.writerow, writers)
        done.overall = time.perf_counter() - started
        if not done.count:
            raise InputError("\n  ".join(("nothing could be read:", *done.failures)))
        for note in kinds.finish():
            tqdm.write(note, file=sys.stderr)
    return done


def _read(sources: Sequence[Source], every: int, kinds: FrameKinds, failures: list[str]) -> Iterator[PreparedFrame]:
    """Yield every frame that can be read, prepared; append to `failures` why others cannot."""
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
        self.painter = Painter(classes, palette_of(classes)) if classes else Painter()
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
        for index, (name, colour) in enumerate(zip(self.painter.classes, self.painter.palette, strict=True)):
            legend.writerow([index, name, "#{:02x}{:02x}{:02x}".format(*colour)])
        write_text(self.out / output_folder.LEGEND, text.getvalue())

    def write(self, prediction: Prediction, frame: Frame) -> list[str]:
        """Write mask and overlay of one frame; return its row."""
        height, width = frame.pixels.shape[:2]
        row = [str(frame.path), "" if frame.index is None else str(frame.index), str(width), str(height)]
        caption = None
        if prediction.mask is not None:
            path = self.out / output_folder.MASKS / f"{frame.name}.png"
            stored = Image.fromarray(prediction.mask)
            stored.putpalette([value for colour in self.painter.palette for value in colour])
            with whole_file(path) as unfinished:
                stored.save(unfinished, "PNG", compress_level=3)
            row.append(path.relative_to(self.out).as_posix())
        if prediction.activity is not None:
            shares = prediction.probabilities
            caption = (prediction.activity, shares[prediction.activity])
            row += [caption[0], f"{caption[1]:.6f}", *(f"{share:.6f}" for share in shares.values())]
        if self.overlays:
            self._write_overlay(frame.name, self.painter.paint(frame.pixels, prediction.mask, caption))
        return row

    def _write_overlay(self, name: str, painted: Pixels) -> None:
        suffix = "jpg" if max(painted.shape) <= _JPEG_SIDE else "png"
        # Colour at full size: thin lines keep theirs. OpenCV encodes while other threads run, which Pillow does not let them.
        options = [cv2.IMWRITE_JPEG_QUALITY, 90, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
        _, encoded = cv2.imencode(
            f".{suffix}", cv2.cvtColor(painted, cv2.COLOR_RGB2BGR), options if suffix == "jpg" else []
        )
        with whole_file(self.out / output_folder.OVERLAYS / f"{name}.{suffix}") as unfinished:
            unfinished.write_bytes(encoded.data)


def palette_of(classes: Sequence[str]) -> tuple[Rgb, ...]:
    """The colours of the benchmark's dataset that has these classes, else colours that are told apart well."""
    known = (kind.labels for kind in KINDS.values())
    return next((labels.palette for labels in known if labels.classes == tuple(classes)), distinct_palette(classes))
