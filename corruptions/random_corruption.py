"""Corruption as training augmentation: a transform for any data loader."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image as Pictures

from corruptions.api import check, corrupt_pair
from corruptions.catalogue import SEVERITIES, selected_corruptions
from corruptions.errors import CorruptionError
from corruptions.randomness import Randomness
from corruptions.registry import STANDARD, Image, Mask


class RandomCorruption:
    """A transform that corrupts an image with some probability, by one of several corruptions at one of several severities.

    In a worker of torch's DataLoader, each draw also depends on the worker's seed, so two workers, and two epochs, draw different numbers.
    Two runs draw the same numbers if `seed`, the loader's seed (`torch.manual_seed` or its `generator`) and its number of workers agree.

    Args:
        corruptions: names of corruptions, categories, or `standard` for the nineteen corruptions of the paper; see
            `selected_corruptions`.
        severities: the severities to draw from, 1 to 5.
        probability: the probability that an image is corrupted.
        seed: the seed of all draws.

    Raises:
        CorruptionError: if an argument cannot be used.
    """

    def __init__(
        self,
        corruptions: Sequence[str] = (STANDARD,),
        severities: Sequence[int] = SEVERITIES,
        probability: float = 0.5,
        seed: int = 0,
    ) -> None:
        if isinstance(corruptions, str):
            raise CorruptionError(f"corruptions {corruptions!r}; expected a list, [{corruptions!r}].")
        self.corruptions, self.severities = selected_corruptions(corruptions), tuple(severities)
        self.probability, self.seed = probability, seed
        check(np.zeros((32, 32, 3), np.uint8), severities)
        if not self.corruptions or not self.severities:
            raise CorruptionError("no corruption or no severity is given; expected at least one of each.")
        if not 0 <= probability <= 1:
            raise CorruptionError(f"probability {probability!r}; expected a number from 0 to 1.")
        self._worker: int | None = -1
        self._random: Randomness

    def __call__(self, image: Any, mask: Any = None) -> Any:
        """Return the image, corrupted or not. If the corruption moves pixels, the mask moves with them. The arguments are not changed.

        Args:
            image: RGB with 8 bits per channel, at least 32 pixels per side: a numpy array (H, W, 3), a torch tensor (3, H, W) as in
                torchvision's transforms, or a PIL image.
            mask: 8-bit class ids (H, W), of any of the same kinds, or None.

        Returns:
            The image, or the image and the mask if a mask is given, of the same kind, shape and device as the arguments.

        Raises:
            CorruptionError: if image or mask cannot be used.
        """
        draws = self._draws()
        pixels, image_back = _pixels(image)
        ids, mask_back = _ids(mask, pixels)
        check(pixels, SEVERITIES)
        if draws[0] < self.probability:
            pixels, ids = draw_corruption(pixels, ids, draws[1:], self.corruptions, self.severities)
            image, mask = image_back(pixels), mask_back(ids)
        return image if mask is None else (image, mask)

    def _draws(self) -> np.ndarray:
        """Draw the four numbers that one image needs."""
        worker = _worker_seed()
        if worker != self._worker:
            self._worker, self._random = worker, Randomness(self.seed, "RandomCorruption", str(worker))
        return self._random.uniform(0, 1, 4)


def draw_corruption(
    image: Image, mask: Mask, draws: Sequence[float] | np.ndarray, names: Sequence[str], severities: Sequence[int]
) -> tuple[Image, Mask]:
    """Corrupt an image and its mask with a corruption that random numbers select.

    Args:
        image: uint8 RGB (H, W, 3).
        mask: uint8 (H, W), class ids.
        draws: three numbers from 0 to below 1, which decide the corruption, the severity and the random details.
        names: the corruptions to draw from.
        severities: the severities to draw from.

    Returns:
        The corrupted image and its mask, as `corrupt_pair`.

    Raises:
        CorruptionError: as `corrupt_pair`.
    """
    name, severity = names[int(draws[0] * len(names))], severities[int(draws[1] * len(severities))]
    return corrupt_pair(image, mask, name, severity, image_id=float(draws[2]).hex())


def _worker_seed() -> int | None:
    """Return the seed of this DataLoader worker, or None if this process is not a worker or has not imported torch."""
    data = sys.modules.get("torch.utils.data")
    info = data.get_worker_info() if data is not None else None
    return None if info is None else int(info.seed)


def _pixels(given: Any) -> tuple[Image, Callable[[Image], Any]]:
    """Return an image as a numpy array (H, W, 3), and a function that converts such an array to the kind that was given."""
    if isinstance(given, np.ndarray):
        return given, lambda pixels: pixels
    if isinstance(given, Pictures.Image):
        return np.asarray(given), Pictures.fromarray
    if hasattr(given, "new_tensor"):
        array = _array_of_tensor(given, "image", 3)
        return np.ascontiguousarray(array.transpose(1, 2, 0)), lambda pixels: _tensor_like(
            given, pixels.transpose(2, 0, 1)
        )
    raise CorruptionError(
        f"an image of type {type(given).__name__}; expected a numpy array, a torch tensor or a PIL image."
    )


def _ids(given: Any, image: Image) -> tuple[Mask, Callable[[Mask], Any]]:
    """Return a mask as a numpy array (H, W), and a function that converts such an array to the kind that was given; no mask gives zeros."""
    if given is None:
        return np.zeros(image.shape[:2], np.uint8), lambda ids: None
    if isinstance(given, np.ndarray):
        return given, lambda ids: ids
    if isinstance(given, Pictures.Image):
        return np.asarray(given), Pictures.fromarray
    if hasattr(given, "new_tensor"):
        array = _array_of_tensor(given, "mask", given.ndim)
        return array.reshape(image.shape[:2]) if array.size == image[..., 0].size else array, lambda ids: _tensor_like(
            given, ids.reshape(given.shape)
        )
    raise CorruptionError(
        f"a mask of type {type(given).__name__}; expected a numpy array, a torch tensor or a PIL image."
    )


def _array_of_tensor(given: Any, kind: str, dimensions: int) -> np.ndarray:
    """Return a tensor as a numpy array; raise CorruptionError unless its type and dimensions are as expected."""
    array = np.asarray(given.detach().cpu())
    if array.dtype != np.uint8 or array.ndim != dimensions:
        raise CorruptionError(
            f"{kind}: a tensor of type {array.dtype} and shape {array.shape}; expected uint8{' (3, height, width)' * (kind == 'image')}. "
            "Put this transform before the one that converts to float, v2.ToDtype(torch.float32, scale=True)."
        )
    return array


def _tensor_like(given: Any, array: np.ndarray) -> Any:
    """Return an array as a tensor of the same class (torchvision's Image and Mask are tensors) and device as the given one."""
    result = given.clone()
    result[...] = given.new_tensor(np.ascontiguousarray(array))
    return result
