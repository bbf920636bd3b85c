"""Convert NumPy arrays, torch tensors on any device, and lists of them to NumPy arrays. This module imports no torch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def to_numpy(values: Any) -> NDArray[Any]:
    """Return values as a NumPy array, without changing a value. A NumPy array is returned unchanged.

    Args:
        values: a NumPy array, a number, a torch tensor on any device, anything else that `numpy.asarray` takes, or a list of these.

    Returns:
        An array of the same shape and type; float32 for bfloat16, which NumPy does not have.
    """
    if isinstance(values, (list, tuple)) and any(hasattr(value, "detach") for value in values):
        return np.stack([to_numpy(value) for value in values])
    if hasattr(values, "detach"):  # a torch tensor
        values = values.detach().cpu()
        if str(values.dtype) == "torch.bfloat16":  # NumPy has no such type; float32 holds each of its values
            values = values.float()
    return np.asarray(values)


def to_floats(values: Any, what: str) -> NDArray[np.float64]:
    """Return values as float64.

    Args:
        values: anything that `to_numpy` takes.
        what: what the values are, in the message.

    Raises:
        ValueError: if a value is not a number, such as the name of a class.
    """
    array = to_numpy(values)
    try:
        return array.astype(np.float64, copy=False)
    except (TypeError, ValueError):
        wrong = next((value for value in array.flat if not _is_number(value)), array.flat[0])
        raise ValueError(
            f"{what}: {wrong!s:.80} is not a number; expected integers, such as the position of each name in a list of all names."
        ) from None


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def to_mask(values: Any) -> NDArray[Any]:
    """Return a mask of class ids as uint8: integers of another type, and bool, are converted if all values are in 0..255.

    Args:
        values: the mask, of any kind that `to_numpy` takes.

    Returns:
        The mask as uint8. A mask with other values or of another type is returned with its own type, so that the caller can refuse it.
    """
    mask = to_numpy(values)
    if mask.dtype == np.uint8:
        return mask
    fits = mask.dtype.kind in "iub" and (not mask.size or (mask.min() >= 0 and mask.max() <= 255))
    return mask.astype(np.uint8) if fits else mask
