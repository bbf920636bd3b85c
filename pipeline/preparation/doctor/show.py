"""An examination as text for people."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from pipeline.preparation.doctor.findings import DatasetReport, Report, SourceReport

_MARK = {"complete": "ok", "partial": "PARTIAL", "broken": "BROKEN"}


def show(report: Report) -> str:
    """The report as text: sources, datasets, activities, findings, and one last line that says what to do."""
    data = "generated trees" if report.synthetic else "real trees"
    read = "every picture read" if report.deep else "names, headers and a sample of the frames in every folder read"
    lines = [f"Study {report.study}, {data}; {read}.", ""]
    lines += _table(("Source", "State", "Found", "Missing"), [row for part in report.sources for row in _rows(part)])
    lines += ["", *_table(("Dataset", "State", "Frames", "Split"), [_dataset_row(part) for part in report.datasets])]
    for part in report.datasets:
        if part.activities:
            counts = [(name, *_counts(found)) for name, found in part.activities.items()]
            lines += ["", *_table((part.dataset, "Found", "Expected"), counts)]
        if part.classes is not None:
            lines += ["", *_table((part.dataset, "Frames with it"), [(n, str(c)) for n, c in part.classes.items()])]
        lines += [f"  left out: {count}, {reason}" for reason, count in part.left_out.items()]
    # What stops a source stops its datasets: it is said once, with the names of all.
    findings: dict[tuple[str, str], list[str]] = {}
    for examined in report.parts:
        for finding in examined.findings:
            name = examined.source if isinstance(examined, SourceReport) else examined.dataset
            findings.setdefault((finding.level, finding.text), []).append(name)
    for level in ("error", "warning", "note"):
        chosen = [f"  {', '.join(names)}: {text}" for (found, text), names in findings.items() if found == level]
        if chosen:
            lines += ["", f"{level.capitalize()}s:", *chosen]
    asked = {part.source: part.ask for part in report.sources if part.missing or part.state == "broken"}
    if asked:
        lines += ["", "What is missing is asked for at:", *(f"  {source}: {ask}" for source, ask in asked.items())]
    return "\n".join([*lines, "", _verdict(report), ""])


def _verdict(report: Report) -> str:
    broken = [part.dataset for part in report.datasets if part.state == "broken"]
    partial = [part.dataset for part in report.datasets if part.state == "partial"]
    hint = "" if report.deep else " One broken picture among many takes --deep to find."
    if not report.usable:
        return f"Cannot be built: {', '.join(broken) or 'see the errors above'}."
    if partial:
        return f"Can be built, partial: {', '.join(partial)}. Every table will say so.{hint}"
    return f"Everything can be built.{hint}"


def _rows(part: SourceReport) -> list[tuple[str, ...]]:
    found = [f"{name}: {value}" for name, value in part.found.items()] or ["nothing that can be read"]
    names, states = [f"{part.source} ({part.root})"], [_MARK[part.state]]
    return list(zip_longest(names, states, found, part.missing, fillvalue=""))


def _dataset_row(part: DatasetReport) -> tuple[str, ...]:
    frames = str(part.frames) if part.expected is None else f"{part.frames} of {part.expected}"
    split = ", ".join(f"{name} {count}" for name, count in part.by_split.items())
    return part.dataset, _MARK[part.state], frames, f"{part.split_rule}: {split or '-'}"


def _counts(found: dict[str, int | None]) -> tuple[str, str]:
    expected = found["expected"]
    mark = "" if expected is None or expected == found["found"] else "  !"
    return str(found["found"]), ("-" if expected is None else str(expected)) + mark


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in (heads, *rows)) for i in range(len(heads))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (heads, *rows)
    ]
    return [lines[0], "-" * len(lines[0]), *lines[1:]]
