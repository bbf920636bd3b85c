"""One thread per process, because one and two threads give different bits. Every command calls this first."""

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
    """Tell numerical libraries to use one thread. Call it before numpy, OpenCV or torch is imported."""
    os.environ.update(dict.fromkeys(VARIABLES, "1"))
