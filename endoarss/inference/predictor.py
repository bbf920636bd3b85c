"""Predict images of any size, image files and videos with a trained model."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from endoarss.arrays import to_numpy
from endoarss.base_weights import project_weights
from endoarss.checkpoint_header import read_header
from endoarss.checkpoints import load_checkpoint
from endoarss.devices import is_out_of_memory, without_tf32
from endoarss.errors import MediaError, SettingsError
from endoarss.inference.frame_kinds import FrameKinds, Window, enlarge_mask
from endoarss.inference.media import VIDEOS, Frame, Source, find_files, read_frames
from endoarss.inference.preprocessing import Pixels, Preprocessing
from endoarss.models import MultiTaskModel
from endoarss.prediction import Predictions, predict
from endoarss.settings import ACTIVITY, SEGMENTATION

CHECKPOINT = "model.safetensors"  # in the folder of a trained cell


@dataclass(frozen=True)
class Prediction:
    """The prediction for one frame.

    Attributes:
        activity: name of the most probable activity; None if the model knows no activities.
        probabilities: of each activity, by name; they sum to 1. Empty if the model knows no activities.
        mask: class ids at the size of the frame, uint8 (H, W); None if the model does not segment.
        classes: name of each id in the mask, the background first; empty if the model does not segment.
        image: the frame, uint8 RGB (H, W, 3).
        path: of the picture or video that the frame is from; None for an array.
        index: number of the frame in its video, counted from 0; None for images.
    """

    activity: str | None
    probabilities: dict[str, float]
    mask: Pixels | None
    classes: tuple[str, ...]
    image: Pixels
    path: Path | None = None
    index: int | None = None


@dataclass(frozen=True)
class PreparedFrame:
    """A frame and what a model sees of it.

    Attributes:
        frame: as it was read.
        small: the model's input, uint8 RGB (S, S, 3).
        window: top, bottom, left and right of what the model sees of the frame; None for the whole.
    """

    frame: Frame
    small: Pixels
    window: Window | None


class Predictor:
    """A model that predicts frames of any size. `load_predictor` makes one.

    Calling it predicts one image; `stream` predicts many images, folders and videos. The first frame of a kind that is cropped, or whose
    size or aspect ratio is unlike that of training frames, gives a warning. Only `stream` also compares dark borders, after its last frame.

    Attributes:
        model: the network; `model.settings` holds its classes, activities and input size.
        preprocessing: how its training frames were prepared; None if the checkpoint does not contain it.
        device: the device it runs on.
    """

    def __init__(self, model: MultiTaskModel, preprocessing: Preprocessing | None, device: torch.device) -> None:
        self.model, self.preprocessing, self.device = model, preprocessing, device
        self.activities = model.settings.activities if ACTIVITY in model.tasks else ()
        self.classes = model.settings.classes if SEGMENTATION in model.tasks else ()
        self._kinds = self._new_kinds()

    def __call__(self, image: Any) -> Prediction:
        """Predict one image.

        Args:
            image: RGB of any size as uint8 (H, W, 3), an array or a torch tensor, which may also be (3, H, W); or the path of a picture.

        Raises:
            MediaError: if it is no such image, or the file cannot be read.
            SettingsError: if the model gives values that are no numbers.
        """
        if isinstance(image, (str, Path)) and (Path(image).is_dir() or Path(image).suffix.lower() in VIDEOS):
            raise MediaError(f"{image}: a folder or a video; expected one picture. `stream` predicts all frames.")
        (frame,) = _frames_of(image, every=1)
        prepared = _prepared(frame, self._kinds, stacklevel=3)
        return self.result(self.compute([prepared]), 0, prepared)

    def stream(self, inputs: Any, batch_size: int = 16, every: int = 1) -> Iterator[Prediction]:
        """Predict many frames, in their order. A batch is in memory at a time, however many frames there are.

        Args:
            inputs: the path of a picture, of a video or of a folder, which is searched; or a sequence, an iterator or an array of
                images as a call takes them and of such paths.
            batch_size: how many frames go through the model at once.
            every: N takes each Nth frame of a video.

        Yields:
            One prediction per frame.

        Raises:
            MediaError: if an input cannot be read whole; all earlier frames are yielded first.
            SettingsError: if `batch_size` or `every` is not at least 1, or the model gives values that are no numbers.
        """
        for name, value in (("batch_size", batch_size), ("every", every)):
            if value < 1:
                raise SettingsError(f"{name} {value}; expected 1 or more.")
        items = [inputs] if isinstance(inputs, (str, Path)) else inputs
        if not isinstance(items, Iterable):
            raise MediaError(f"{type(inputs).__name__}: expected paths, images, or a sequence of them.")
        return self._stream((frame for item in items for frame in _frames_of(item, every)), batch_size)

    def compute(self, batch: Sequence[PreparedFrame]) -> Predictions:
        """Run the model on prepared frames, all at once.

        Raises:
            MediaError: if the memory of the device is too small for so many.
            SettingsError: if the model gives values that are no numbers.
        """
        try:
            with without_tf32():
                found = predict(self.model, np.stack([one.small for one in batch]), self.device, len(batch))
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise MediaError(
                f"batch size {len(batch)}: too many images at once for the memory of {self.device}. Try fewer."
            ) from None
        if found.activity is not None and not np.isfinite(found.activity).all():
            raise SettingsError(
                f"{batch[0].frame.path or 'image'}: the model gives probabilities that are no numbers; its checkpoint is not usable."
            )
        return found

    def result(self, predictions: Predictions, position: int, prepared: PreparedFrame) -> Prediction:
        """Return the prediction for one frame of a batch, at the size of the frame.

        Args:
            predictions: the result of `compute`.
            position: position of the frame in the batch.
            prepared: the prepared frame.
        """
        frame, probabilities, mask = prepared.frame, {}, None
        if predictions.activity is not None:
            probabilities = dict(zip(self.activities, predictions.activity[position].tolist(), strict=True))
        if predictions.masks is not None:
            height, width = frame.pixels.shape[:2]
            mask = enlarge_mask(predictions.masks[position], width, height, prepared.window)
        activity = max(probabilities, key=probabilities.__getitem__) if probabilities else None
        return Prediction(activity, probabilities, mask, self.classes, frame.pixels, frame.path, frame.index)

    def _new_kinds(self) -> FrameKinds:
        return FrameKinds(self.preprocessing, self.model.settings.input_size)

    def _stream(self, frames: Iterator[Frame], batch_size: int) -> Iterator[Prediction]:
        kinds = self._new_kinds()
        for batch in _batches((_prepared(frame, kinds, stacklevel=5) for frame in frames), batch_size):
            found = self.compute(batch)
            yield from (self.result(found, position, one) for position, one in enumerate(batch))
        for note in kinds.finish():
            warnings.warn(note, stacklevel=2)


def load_predictor(
    checkpoint: str | Path,
    *,
    weights: str | Path | Sequence[str | Path] = (),
    components: str | Sequence[str] = (),
    device: str | torch.device | None = None,
) -> Predictor:
    """Load a trained model that predicts images, pictures and videos of any size.

    Frames are prepared as the frames that the model was trained on. A checkpoint of another person may be loaded: nothing in it is run or
    imported, and no network is touched.

    Args:
        checkpoint: a model.safetensors of `endoarss train` or `endoarss merge`, a standalone one, or the folder of a trained cell.
        weights: files or folders where the frozen weights that it was trained on are looked for by their digest; after them come the
            checkpoint's own folder, data/weights of its project and of the working directory, and the hub's cache.
        components: Python modules of your own that register the model's backbone or architecture; they are imported.
        device: such as "cpu" or "cuda:1"; None for the GPU if torch finds one, else the CPU.

    Returns:
        The predictor. Call it with one image, or iterate over `predictor.stream(...)`.

    Raises:
        SettingsError: if there is no such checkpoint, it is not usable, its frozen weights are found nowhere, or there is no such device.
    """
    path = Path(checkpoint)
    if path.is_dir():
        path = path / CHECKPOINT
        if not path.is_file():
            raise SettingsError(
                f"{checkpoint}: no {CHECKPOINT} in this folder. Expected a checkpoint, or the folder of a trained cell."
            )
    chosen = _device(device)
    named = [weights] if isinstance(weights, (str, Path)) else weights
    places = [*map(Path, named), *project_weights(path)]
    model = load_checkpoint(path, places, [components] if isinstance(components, str) else components)
    preprocessing, note = preprocessing_of_checkpoint(path)
    if note:
        warnings.warn(note, stacklevel=2)
    return Predictor(model, preprocessing, chosen)


def preprocessing_of_checkpoint(path: Path) -> tuple[Preprocessing | None, str]:
    """Return how the training frames of a checkpoint were prepared; None, and what to tell the user, if an earlier version wrote it.

    Raises:
        SettingsError: if the checkpoint cannot be read, or says it in a way that this version does not know.
    """
    given = read_header(path).provenance.get("preprocessing")
    if given is not None:
        return Preprocessing.from_dict(given, str(path)), ""
    return None, (
        f"{path}: does not say how its training frames were prepared, because an earlier version wrote it. Frames are resized "
        "whole; crop raw EndoVis 2017 frames yourself, or train the model again."
    )


def _device(given: str | torch.device | None) -> torch.device:
    found = torch.cuda.is_available()
    try:
        device = torch.device(("cuda" if found else "cpu") if given is None else given)
        torch.empty(0, device=device)
    except (
        RuntimeError,
        AssertionError,
    ) as error:  # an unknown name, a number that no GPU has, a build of torch without CUDA
        said = str(error).partition("\n")[0]
        raise SettingsError(
            f"device {str(given)!r}: cannot be used ({said}). Expected 'cpu', or 'cuda' where torch finds a GPU."
        ) from None
    return device


def _frames_of(item: Any, every: int) -> Iterator[Frame]:
    """Yield the frames of one input: of a file, of all files in a folder, or an array."""
    if isinstance(item, (str, Path)):
        for path in find_files(Path(item)):
            yield from read_frames(Source(path, path.name), every)
    else:
        yield Frame(_pixels_of(item))


def _pixels_of(image: Any) -> Pixels:
    """Return an image as uint8 RGB (H, W, 3).

    Raises:
        MediaError: if it is none.
    """
    if isinstance(image, (list, tuple)):
        raise MediaError(f"a {type(image).__name__}; expected one image. `stream` predicts many, in one sequence.")
    pixels = to_numpy(image)
    if hasattr(image, "detach") and pixels.ndim == 3 and pixels.shape[0] == 3 and pixels.shape[2] != 3:
        pixels = pixels.transpose(1, 2, 0)  # as torchvision reads pictures
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise MediaError(
            f"image of shape {pixels.shape} and type {pixels.dtype}; expected RGB as uint8 (H, W, 3), values 0 to 255. A torch tensor "
            "may be (3, H, W)."
        )
    return np.ascontiguousarray(pixels)


def _prepared(frame: Frame, kinds: FrameKinds, stacklevel: int) -> PreparedFrame:
    """Prepare a frame as the training frames were, and warn of the first one of a kind that does not look like them.

    Args:
        frame: as it was read.
        kinds: those that came before.
        stacklevel: how far up the user's line is, which a warning names.
    """
    small, window, note = kinds.prepare(frame.pixels)
    if note:
        warnings.warn(f"{frame.path}: {note}" if frame.path else note, stacklevel=stacklevel)
    return PreparedFrame(frame, small, window)


def _batches(frames: Iterator[PreparedFrame], size: int) -> Iterator[list[PreparedFrame]]:
    """Yield frames in batches. If a frame cannot be read, earlier frames are yielded first."""
    batch: list[PreparedFrame] = []
    try:
        for frame in frames:
            batch.append(frame)
            if len(batch) == size:
                yield batch
                batch = []
    except MediaError:
        if batch:
            yield batch
        raise
    if batch:
        yield batch
