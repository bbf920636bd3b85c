"""Formats the doctor's report as text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from pipeline.preparation.doctor.findings import DatasetReport, Report, SourceReport

_STATE_LABELS = {"complete": "ok", "partial": "PARTIAL", "broken": "BROKEN"}


def show(report: Report) -> str:
    """Return the report as text: sources, datasets, activities, findings, and a last line with the verdict."""
    data = "generated trees" if report.synthetic else "real trees"
    read = (
        "every image was read" if report.deep else "names, headers and a sample of the frames in every folder were read"
    )
    lines = [f"Study {report.study}, {data}; {read}.", ""]
    source_rows = [row for source in report.sources for row in _source_rows(source)]
    lines += _table(("Source", "State", "Found", "Missing"), source_rows)
    dataset_rows = [_dataset_row(dataset) for dataset in report.datasets]
    lines += ["", *_table(("Dataset", "State", "Frames", "Split"), dataset_rows)]
    for dataset in report.datasets:
        if dataset.activities:
            counts = [(name, *_counts(found)) for name, found in dataset.activities.items()]
            lines += ["", *_table((dataset.dataset, "Found", "Expected"), counts)]
        if dataset.classes is not None:
            classes = [(name, str(count)) for name, count in dataset.classes.items()]
            lines += ["", *_table((dataset.dataset, "Frames with the class"), classes)]
        lines += [f"  left out: {count}, {reason}" for reason, count in dataset.left_out.items()]
    # An error of a source is also an error of its datasets. It is listed once, with all names.
    findings: dict[tuple[str, str], list[str]] = {}
    for part in report.all_reports:
        for finding in part.findings:
            name = part.source if isinstance(part, SourceReport) else part.dataset
            findings.setdefault((finding.level, finding.text), []).append(name)
    for level in ("error", "warning", "note"):
        texts = [f"  {', '.join(names)}: {text}" for (other, text), names in findings.items() if other == level]
        if texts:
            lines += ["", f"{level.capitalize()}s:", *texts]
    contacts = {source.source: source.ask for source in report.sources if source.missing or source.state == "broken"}
    if contacts:
        lines += ["", "Where to get the missing data:", *(f"  {source}: {ask}" for source, ask in contacts.items())]
    return "\n".join([*lines, "", _verdict(report), ""])


def _verdict(report: Report) -> str:
    broken = [dataset.dataset for dataset in report.datasets if dataset.state == "broken"]
    partial = [dataset.dataset for dataset in report.datasets if dataset.state == "partial"]
    hint = "" if report.deep else " To find a single broken image among many, use --deep."
    if not report.usable:
        return f"Cannot be built: {', '.join(broken) or 'see the errors above'}."
    if partial:
        return f"Can be built, but incomplete: {', '.join(partial)}. Every table will say so.{hint}"
    return f"Everything can be built.{hint}"


def _source_rows(source: SourceReport) -> list[tuple[str, ...]]:
    found = [f"{name}: {value}" for name, value in source.found.items()] or ["nothing that can be read"]
    names, states = [f"{source.source} ({source.root})"], [_STATE_LABELS[source.state]]
    return list(zip_longest(names, states, found, source.missing, fillvalue=""))


def _dataset_row(dataset: DatasetReport) -> tuple[str, ...]:
    frames = str(dataset.frames) if dataset.expected is None else f"{dataset.frames} of {dataset.expected}"
    split = ", ".join(f"{name} {count}" for name, count in dataset.by_split.items())
    return dataset.dataset, _STATE_LABELS[dataset.state], frames, f"{dataset.split_rule}: {split or '-'}"


def _counts(found: dict[str, int | None]) -> tuple[str, str]:
    expected = found["expected"]
    flag = "" if expected is None or expected == found["found"] else "  !"
    return str(found["found"]), ("-" if expected is None else str(expected)) + flag


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (header, *rows)
    ]
    return [lines[0], "-" * len(lines[0]), *lines[1:]]
