"""Loops compiled to machine code, the first time they are called; the result is kept on disk for later processes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, TypeVar, cast

Loop = TypeVar("Loop", bound=Callable[..., Any])


def compiled(loop: Loop) -> Loop:
    """Compile a loop over numpy arrays with numba when it is first called.

    numba itself is imported then, for who only lists names should not wait for it. Floating-point arithmetic is kept as
    written (no fused or reordered operations), so that every processor gives the same bytes. Other threads run meanwhile.
    """

    @cache
    def machine_code(kept: bool) -> Callable[..., Any]:
        from numba import njit

        return cast(Callable[..., Any], njit(cache=kept, nogil=True, error_model="numpy")(loop))

    keeps = True

    @wraps(loop)
    def call(*arguments: Any) -> Any:
        nonlocal keeps
        if keeps:
            try:
                return machine_code(True)(*arguments)
            except (RuntimeError, OSError):
                keeps = False  # no folder can be written to, or its disk is full: each process compiles for itself
        return machine_code(False)(*arguments)

    return cast(Loop, call)
