"""Loops that numba compiles on their first call; the machine code is cached on disk for later processes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, TypeVar, cast

Loop = TypeVar("Loop", bound=Callable[..., Any])


def compiled(loop: Loop) -> Loop:
    """Return a loop over numpy arrays that numba compiles when it is first called.

    numba is imported only then, because commands that only list names should not wait for it. Floating-point operations are neither
    fused nor reordered, so every processor gives the same bytes. The loop releases the GIL.
    """

    @cache
    def machine_code(on_disk: bool) -> Callable[..., Any]:
        from numba import njit

        return cast(Callable[..., Any], njit(cache=on_disk, nogil=True, error_model="numpy")(loop))

    on_disk = True

    @wraps(loop)
    def call(*arguments: Any) -> Any:
        nonlocal on_disk
        if on_disk:
            try:
                return machine_code(True)(*arguments)
            except (RuntimeError, OSError):
                on_disk = False  # no folder is writable, or the disk is full: each process compiles for itself
        return machine_code(False)(*arguments)

    return cast(Loop, call)
