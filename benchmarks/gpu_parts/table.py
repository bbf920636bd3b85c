"""Writes the text of a GPU benchmark: one line per measurement, and the targets with the measured figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Saved = Mapping[str, Any]
# Targets for an H100 or H200. The memory is the paper's on an RTX 4090, which infers 35.66 images per second.
TRAINING_SPEED, TRAINING_MIB = 400, 9858
INFERENCE_SPEED, INFERENCE_MIB = 1500, 1668
OVER_AUTHORS = 5
PAPER_TRAINING_GFLOP = 184
# The measurements that have targets.
LOOP = "training loop, bf16, compiled"
INFERENCE = "inference, bf16, compiled"
AUTHORS = "authors' loop, float32, PNG"
AUTHORS_STEP = "authors' step, float32, no loading"
WORK = "work per image"

_FORMATS = {
    "images_per_second": "{:,.1f} images/s",
    "milliseconds": "{:,.1f} ms",
    "memory_mib": "{:,.0f} MiB",
    "reserved_mib": "({:,.0f} reserved)",
    "share_of_peak": "{:.1%} of the matrix peak",
    "compile_s": "compiled in {:.1f} s",
    "out_of_memory": "out of memory ({})",
    "failed": "FAILED: {}",
}
_HIDDEN = {"name", "took_s", "fastest", "slowest"}


def line(row: Mapping[str, Any]) -> str:
    """Return one measurement as one line of text."""
    parts = [text.format(row[key]) for key, text in _FORMATS.items() if key in row]
    for key, value in row.items():
        if key not in _FORMATS and key not in _HIDDEN:
            parts.append(f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}")
    return f"{row['name']:46} {'  '.join(parts)}"


def table(parts: Mapping[str, Saved | str], tiny: bool) -> str:
    """Return the complete text.

    Args:
        parts: the saved measurements of each part, or the reason why there are none, by name in the order of the run.
        tiny: whether sizes were tiny, so that the figures mean nothing.
    """
    saved = {name: part for name, part in parts.items() if not isinstance(part, str)}
    machine: Mapping[str, str] = next((part["machine"] for part in saved.values() if part["machine"]), {})
    lines = ["GPU benchmark", *(f"{key:8} {value}" for key, value in machine.items())]
    if tiny:
        lines.append("A dry run with tiny sizes: the figures mean nothing.")
    for name, part in parts.items():
        if isinstance(part, str):
            lines += ["", f"{name}: {part}"]
            continue
        lines += ["", f"{name} ({part['seconds']:.0f} s): {part['ended']}"]
        lines += [f"  {line(row)}" for row in part["rows"] if row.get("outcome") not in ("passed", "skipped")]
        if part["not_measured"]:
            lines.append(f"  not measured, because the time was over: {'; '.join(part['not_measured'])}")
    rows = [row for part in saved.values() for row in part["rows"]]
    return "\n".join([*lines, "", "Targets", *(f"  {text}" for text in targets(rows))]) + "\n"


def targets(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return each target with the measured figure and whether the target is met."""
    measured = {row["name"]: row for row in rows if "failed" not in row and "out_of_memory" not in row}
    loop, inference = measured.get(LOOP, {}), measured.get(INFERENCE, {})
    authors, step = measured.get(AUTHORS, {}), measured.get(AUTHORS_STEP, {})
    ratio = _ratio(loop, authors)
    return [
        _at_least("training, images per second", loop.get("images_per_second"), TRAINING_SPEED),
        _below("training, MiB", loop.get("memory_mib"), TRAINING_MIB),
        _at_least("inference, images per second", inference.get("images_per_second"), INFERENCE_SPEED),
        _below("inference, MiB", inference.get("memory_mib"), INFERENCE_MIB),
        _at_least("training, times the authors' loop", ratio, OVER_AUTHORS),
        _without_target("training, times the authors' step without loading", _ratio(loop, step)),
        _without_target(
            f"work, GFLOP per image in training (expected about {PAPER_TRAINING_GFLOP})",
            measured.get(WORK, {}).get("training_gflop"),
        ),
    ]


def _ratio(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> float | None:
    """Return the ratio of two speeds, or None if one was not measured."""
    if "images_per_second" not in ours or "images_per_second" not in theirs:
        return None
    return float(ours["images_per_second"] / theirs["images_per_second"])


def _at_least(name: str, value: float | None, target: float) -> str:
    """Return the line of a target that is a minimum."""
    verdict = "" if value is None else "met" if value >= target else "MISSED"
    return f"{name:62} {_number(value):>12}  at least {target:>7,}  {verdict}".rstrip()


def _below(name: str, value: float | None, target: float) -> str:
    """Return the line of a target that is a maximum."""
    verdict = "" if value is None else "met" if value < target else "MISSED"
    return f"{name:62} {_number(value):>12}  below    {target:>7,}  {verdict}".rstrip()


def _without_target(name: str, value: float | None) -> str:
    """Return the line of a figure without a target."""
    return f"{name:62} {_number(value):>12}"


def _number(value: float | None) -> str:
    """Return a figure as text."""
    return "not measured" if value is None else f"{value:,.1f}"
