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
        activity: name of the most probable activity; None if the model does not predict activities.
        probabilities: the probability of each activity, by name; they sum to 1. Empty if the model does not predict activities.
        mask: class ids at the size of the frame, uint8 (H, W); None if the model does not segment.
        classes: name of each id in the mask, the background first; empty if the model does not segment.
        image: the frame, uint8 RGB (H, W, 3).
        path: the image file or video that the frame is from; None for an array.
        index: the number of the frame in its video, counted from 0; None for an image.
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
    """A frame, and the model's input that was made from it.

    Attributes:
        frame: the frame as it was read.
        model_input: uint8 RGB (S, S, 3), cropped and resized.
        window: top, bottom, left and right of the part that the model sees; None if it sees the whole frame.
    """

    frame: Frame
    model_input: Pixels
    window: Window | None


class Predictor:
    """A model that predicts frames of any size; `load_predictor` returns one.

    Call it with one image; `stream` predicts many images, folders and videos. The first frame of a kind that is cropped, or whose
    size or aspect ratio is unlike that of training frames, gives a warning. Only `stream` also compares dark borders, after its last frame.

    Attributes:
        model: the network; `model.settings` holds its classes, activities and input size.
        preprocessing: how the model's training frames were prepared; None if the checkpoint does not contain it.
        device: the device on which the model runs.
    """

    def __init__(self, model: MultiTaskModel, preprocessing: Preprocessing | None, device: torch.device) -> None:
        self.model, self.preprocessing, self.device = model, preprocessing, device
        self.activities = model.settings.activities if ACTIVITY in model.tasks else ()
        self.classes = model.settings.classes if SEGMENTATION in model.tasks else ()
        self._kinds = self._new_kinds()

    def __call__(self, image: Any) -> Prediction:
        """Predict one image.

        Args:
            image: an array or torch tensor, RGB of any size as uint8 (H, W, 3); a tensor may also be (3, H, W). Or the path of an image.

        Raises:
            MediaError: if the argument is no such image, the file cannot be read, or the device has too little memory.
            SettingsError: if the model returns probabilities that are not finite.
        """
        if isinstance(image, (str, Path)) and (Path(image).is_dir() or Path(image).suffix.lower() in VIDEOS):
            raise MediaError(f"{image}: a folder or a video; expected one image. `stream` predicts all frames.")
        (frame,) = _frames_of(image, every=1)
        prepared = _prepared(frame, self._kinds, stacklevel=3)
        return self.result(self.compute([prepared]), 0, prepared)

    def stream(self, inputs: Any, batch_size: int = 16, every: int = 1) -> Iterator[Prediction]:
        """Predict many frames in order. Only one batch of frames is in memory at a time.

        Args:
            inputs: the path of an image, of a video, or of a folder that is searched for both; or a sequence, an iterator or an array
                whose items are such paths, or images that `__call__` accepts.
            batch_size: the number of frames per forward pass.
            every: with N, only each N-th frame of a video is predicted.

        Yields:
            One prediction per frame.

        Raises:
            MediaError: if an input cannot be read completely (the predictions for all earlier frames are yielded first), or if a batch
                does not fit into the device's memory.
            SettingsError: if `batch_size` or `every` is not at least 1, or the model returns probabilities that are not finite.
        """
        for name, value in (("batch_size", batch_size), ("every", every)):
            if value < 1:
                raise SettingsError(f"{name} {value}; expected 1 or more.")
        items = [inputs] if isinstance(inputs, (str, Path)) else inputs
        if not isinstance(items, Iterable):
            raise MediaError(f"{type(inputs).__name__}: expected paths, images, or a sequence of them.")
        return self._stream((frame for item in items for frame in _frames_of(item, every)), batch_size)

    def compute(self, batch: Sequence[PreparedFrame]) -> Predictions:
        """Run the model on prepared frames, in one batch.

        Raises:
            MediaError: if the batch does not fit into the device's memory.
            SettingsError: if the model returns probabilities that are not finite.
        """
        inputs = np.stack([prepared.model_input for prepared in batch])
        try:
            with without_tf32():
                predictions = predict(self.model, inputs, self.device, len(batch))
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise MediaError(
                f"batch size {len(batch)}: too many images for the memory of {self.device}. Choose a smaller batch size."
            ) from None
        if predictions.activity is not None and not np.isfinite(predictions.activity).all():
            raise SettingsError(
                f"{batch[0].frame.path or 'image'}: the model returns probabilities that are not finite, so its checkpoint cannot be used."
            )
        return predictions

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
            predictions = self.compute(batch)
            yield from (self.result(predictions, position, prepared) for position, prepared in enumerate(batch))
        for note in kinds.finish():
            warnings.warn(note, stacklevel=2)


def load_predictor(
    checkpoint: str | Path,
    *,
    weights: str | Path | Sequence[str | Path] = (),
    components: str | Sequence[str] = (),
    device: str | torch.device | None = None,
) -> Predictor:
    """Load a trained model that predicts images and videos of any size.

    Frames are prepared as in the model's training. The checkpoint may come from another person: nothing in it is run or imported, and
    nothing is downloaded.

    Args:
        checkpoint: a model.safetensors that `endoarss train` or `endoarss merge` wrote, standalone or not, or the folder of a trained cell.
        weights: files or folders in which the checkpoint's frozen weights are searched for by their digest. The checkpoint's folder,
            data/weights of its project and of the working directory, and the hub's cache are searched after them.
        components: Python modules of your own that register the model's backbone or architecture; they are imported.
        device: such as "cpu" or "cuda:1"; None for the GPU if torch finds one, otherwise the CPU.

    Returns:
        The predictor. Call it with one image, or iterate over `predictor.stream(...)`.

    Raises:
        SettingsError: if the checkpoint does not exist or cannot be used, its frozen weights are not found, or there is no such device.
    """
    path = Path(checkpoint)
    if path.is_dir():
        path = path / CHECKPOINT
        if not path.is_file():
            raise SettingsError(
                f"{checkpoint}: no {CHECKPOINT} in this folder. Expected a checkpoint, or the folder of a trained cell."
            )
    usable_device = _device(device)
    own_paths = [weights] if isinstance(weights, (str, Path)) else weights
    search_paths = [*map(Path, own_paths), *project_weights(path)]
    model = load_checkpoint(path, search_paths, [components] if isinstance(components, str) else components)
    preprocessing, note = preprocessing_of_checkpoint(path)
    if note:
        warnings.warn(note, stacklevel=2)
    return Predictor(model, preprocessing, usable_device)


def preprocessing_of_checkpoint(path: Path) -> tuple[Preprocessing | None, str]:
    """Return how the training frames of a checkpoint were prepared, and an empty note.

    Checkpoints of earlier versions do not contain the preprocessing; for these return None, and a note for the user.

    Raises:
        SettingsError: if the checkpoint cannot be read, or this version does not support its preprocessing.
    """
    stored = read_header(path).provenance.get("preprocessing")
    if stored is not None:
        return Preprocessing.from_dict(stored, str(path)), ""
    return None, (
        f"{path}: this checkpoint does not say how its training frames were prepared, because an earlier version wrote it. Frames are "
        "resized without cropping; crop raw EndoVis 2017 frames yourself, or train the model again."
    )


def _device(given: str | torch.device | None) -> torch.device:
    default = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(default if given is None else given)
        torch.empty(0, device=device)
    # The name is unknown, no GPU has this number, or torch was built without CUDA.
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise SettingsError(
            f"device {str(given)!r}: cannot be used ({reason}). Expected 'cpu', or 'cuda' where torch finds a GPU."
        ) from None
    return device


def _frames_of(item: Any, every: int) -> Iterator[Frame]:
    """Yield the frames of one input: a file, a folder, which is searched, or an array."""
    if isinstance(item, (str, Path)):
        for path in find_files(Path(item)):
            yield from read_frames(Source(path, path.name), every)
    else:
        yield Frame(_pixels_of(item))


def _pixels_of(image: Any) -> Pixels:
    """Return an image as uint8 RGB (H, W, 3).

    Raises:
        MediaError: if it is not such an image.
    """
    if isinstance(image, (list, tuple)):
        raise MediaError(f"a {type(image).__name__}; expected one image. `stream` predicts a sequence of images.")
    pixels = to_numpy(image)
    if hasattr(image, "detach") and pixels.ndim == 3 and pixels.shape[0] == 3 and pixels.shape[2] != 3:
        pixels = pixels.transpose(1, 2, 0)  # as torchvision reads images
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise MediaError(
            f"image of shape {pixels.shape} and type {pixels.dtype}; expected RGB as uint8 (H, W, 3), values 0 to 255. A torch tensor "
            "may be (3, H, W)."
        )
    return np.ascontiguousarray(pixels)


def _prepared(frame: Frame, kinds: FrameKinds, stacklevel: int) -> PreparedFrame:
    """Prepare a frame as the training frames were, and warn about the first frame of a kind that does not look like them.

    Args:
        frame: the frame as it was read.
        kinds: the kinds of frames so far.
        stacklevel: the number of calls up to the user's line, which the warning names.
    """
    model_input, window, note = kinds.prepare(frame.pixels)
    if note:
        warnings.warn(f"{frame.path}: {note}" if frame.path else note, stacklevel=stacklevel)
    return PreparedFrame(frame, model_input, window)


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
