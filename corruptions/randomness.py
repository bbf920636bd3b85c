"""Random numbers that depend on what is corrupted and on nothing else."""

from __future__ import annotations

import hashlib

import numpy as np


def key_of(seed: int, name: str, image_id: str) -> int:
    """A 128-bit key of (seed, name, image_id). The severity is not in it: fields are shared across severities."""
    return int.from_bytes(hashlib.sha256(f"{seed}\0{name}\0{image_id}".encode()).digest()[:16], "little")


def generator_of(seed: int, name: str, image_id: str) -> np.random.Generator:
    """A counter-based generator (Philox) keyed by (seed, name, image_id): the same in any order, thread or process."""
    return np.random.Generator(np.random.Philox(key=key_of(seed, name, image_id)))
