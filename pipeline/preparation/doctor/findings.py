"""The types of the doctor's report: findings, and one report per source and per dataset."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

ERROR, WARNING, NOTE = "error", "warning", "note"


@dataclass(frozen=True)
class Finding:
    """One error, warning or note.

    Attributes:
        level: ERROR, WARNING or NOTE.
        text: the message.
        files: all files or frame ids that the message is about.
    """

    level: str
    text: str
    files: tuple[str, ...] = ()


@dataclass
class SourceReport:
    """The report on one raw tree.

    Attributes:
        source: name of the source.
        root: folder of the tree.
        ask: where to get the tree.
        found: short description of the content, by keyword.
        missing: data that the datasets need and the tree lacks.
        findings: errors, warnings and notes.
    """

    source: str
    root: str
    ask: str
    found: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def add(self, level: str, text: str, files: tuple[str, ...] = ()) -> None:
        """Add a finding."""
        self.findings.append(Finding(level, text, files))

    @property
    def state(self) -> str:
        """The state of the data: broken, partial or complete."""
        return _state(self.findings, bool(self.missing))


@dataclass
class DatasetReport:
    """The report on a dataset that can be built from the raw trees.

    Attributes:
        dataset: name of the dataset.
        split_rule: the split rule.
        frames: number of frames.
        expected: number of frames when every download is complete; None if unknown.
        by_split: number of frames of each split.
        activities: found and expected number of frames of each activity.
        classes: number of frames of each class; None unless every image was decoded.
        never_seen: activities and classes that do not occur.
        left_out: number of frames that are left out, by reason.
        findings: errors, warnings and notes.
    """

    dataset: str
    split_rule: str
    frames: int = 0
    expected: int | None = None
    by_split: dict[str, int] = field(default_factory=dict)
    activities: dict[str, dict[str, int | None]] = field(default_factory=dict)
    classes: dict[str, int] | None = None
    never_seen: list[str] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def state(self) -> str:
        """The state of the data: broken, partial or complete."""
        return _state(self.findings, self.expected is not None and self.frames != self.expected)


@dataclass
class Report:
    """The doctor's report on the raw trees and datasets of a study."""

    study: str
    synthetic: bool
    deep: bool
    sources: list[SourceReport]
    datasets: list[DatasetReport]

    @property
    def usable(self) -> bool:
        """Whether every dataset can be built, that is, no dataset has an error."""
        return not any(finding.level == ERROR for dataset in self.datasets for finding in dataset.findings)

    @property
    def all_reports(self) -> list[SourceReport | DatasetReport]:
        """The reports on the sources, then those on the datasets."""
        return [*self.sources, *self.datasets]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain types for JSON, without the study's name, because studies share datasets."""
        return {
            "synthetic": self.synthetic,
            "deep": self.deep,
            "usable": self.usable,
            "sources": [asdict(source) | {"state": source.state} for source in self.sources],
            "datasets": [asdict(dataset) | {"state": dataset.state} for dataset in self.datasets],
        }


def _state(findings: list[Finding], is_partial: bool) -> str:
    """Return broken if there is an error, otherwise partial or complete."""
    if any(finding.level == ERROR for finding in findings):
        return "broken"
    return "partial" if is_partial else "complete"
