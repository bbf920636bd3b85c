"""The parts of the GPU benchmark, the most valuable first, and the time that each gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """The time that a part gets.

    Attributes:
        share: its share of the time, relative to the shares of the parts after it.
        least_s: the part does not start if fewer seconds are left.
    """

    share: float
    least_s: float


PARTS = {
    "tests": Plan(0.22, 20),
    "training": Plan(0.26, 30),
    "authors": Plan(0.12, 25),
    "repeats": Plan(0.07, 20),
    "cells": Plan(0.12, 30),
    "study": Plan(0.06, 20),
    "models": Plan(0.09, 25),
    "batches": Plan(0.06, 20),
}


def budget(left_s: float, parts: Sequence[str]) -> float:
    """Return the seconds of the first part, which are its share of the time left. Time that it does not use goes to the others."""
    return left_s * PARTS[parts[0]].share / sum(PARTS[part].share for part in parts)
