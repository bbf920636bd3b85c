"""Make numerical libraries use one thread per process, because results differ in their last bits between one and two threads."""

from __future__ import annotations

import os

VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "OPENCV_FOR_THREADS_NUM",
)


def use_one_thread() -> None:
    """Set environment variables so that numerical libraries use one thread. Every command calls this before it imports one of them."""
    os.environ.update(dict.fromkeys(VARIABLES, "1"))
