"""Random numbers that depend only on the seed, the corruption and the image."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

LEVELS = 1 << 16  # the number of different values of `Randomness.bits`


class Randomness:
    """The random numbers of one seed, corruption and image. They do not depend on the severity, so all severities share random details.

    The numbers come from the raw bits of Philox, a counter-based generator (Salmon et al. 2011). numpy promises that these bits never
    change. It makes no such promise for the normal numbers and integers that it derives from them.

    Args:
        seed: the seed.
        name: the corruption.
        image_id: the id of the image, or a function that returns it and is called when the first number is drawn.
    """

    def __init__(self, seed: int, name: str, image_id: str | Callable[[], str]) -> None:
        self._seed, self._name, self._image_id = seed, name, image_id

    @cached_property
    def key(self) -> int:
        """Return the 128 bits that decide all random numbers."""
        image_id = self._image_id if isinstance(self._image_id, str) else self._image_id()
        key = hashlib.sha256(f"{self._seed}\0{self._name}\0{image_id}".encode("utf-8", "surrogatepass")).digest()
        return int.from_bytes(key[:16], "little")

    @cached_property
    def _raw(self) -> np.random.Philox:
        return np.random.Philox(key=self.key)

    def bits(self, *shape: int) -> NDArray[np.uint16]:
        """Return uniform integers from 0 to 65535; noise on 8-bit images needs no finer steps."""
        count = int(np.prod(shape))
        raw = self._raw.random_raw(-(-count // 4)).astype("<u8", copy=False)
        return raw.view("<u2")[:count].reshape(shape)

    def uniform(self, low: float, high: float, *shape: int) -> NDArray[np.float64]:
        """Return uniform numbers from low to high, with 53 random bits."""
        raw = self._raw.random_raw(int(np.prod(shape)))
        unit = (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return (low + (high - low) * unit).reshape(shape)

    def normal(self, *shape: int) -> NDArray[np.float32]:
        """Return standard normal numbers, of 65536 different values."""
        return normal_quantiles()[self.bits(*shape)]


@cache
def normal_quantiles() -> NDArray[np.float32]:
    """Return the standard normal value of each of the 65536 outcomes of `bits`: float32 (65536,).

    Each is the quantile in the middle of its share of the distribution.
    """
    from scipy.special import ndtri

    values = ndtri((np.arange(LEVELS) + 0.5) / LEVELS)
    return (values / values.std()).astype(np.float32)


def id_of_content(image: NDArray[np.uint8]) -> str:
    """Return an id for an image without one: the hex SHA-256 of its shape and pixels."""
    return hashlib.sha256(f"{image.shape}".encode() + np.ascontiguousarray(image).tobytes()).hexdigest()
