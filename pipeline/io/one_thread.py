"""One thread per process, whatever the cores: one and two threads give different bits. Every command calls this first."""

from __future__ import annotations

import os

_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


def use_one_thread() -> None:
    """Tell numerical libraries to use one thread. Call it before numpy or torch is imported: they look once."""
    os.environ.update(dict.fromkeys(_VARIABLES, "1"))


def use_one_thread_in_opencv() -> None:
    """Tell OpenCV to use one thread; it is imported for this."""
    import cv2

    cv2.setNumThreads(1)
