"""What an examination says: findings, and one report a source and a dataset."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

ERROR, WARNING, NOTE = "error", "warning", "note"


@dataclass(frozen=True)
class Finding:
    """One thing that was found. files: those it is about, all of them."""

    level: str
    text: str
    files: tuple[str, ...] = ()


@dataclass
class SourceReport:
    """One raw tree.

    found: what is there, in short. missing: what is not, of what the datasets need. ask: where it is asked for.
    """

    source: str
    root: str
    ask: str
    found: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def say(self, level: str, text: str, files: tuple[str, ...] = ()) -> None:
        """Add a finding."""
        self.findings.append(Finding(level, text, files))

    @property
    def state(self) -> str:
        """broken, partial or complete."""
        return _state(self.findings, bool(self.missing))


@dataclass
class DatasetReport:
    """What would be built. frames, expected: how many there are and would be of complete downloads (None: nobody knows).

    by_split: frames of each part. activities: frames of each activity, found and expected. classes: frames of each class, where
    pictures were decoded. left_out: count by reason.
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
        """broken, partial or complete."""
        return _state(self.findings, self.expected is not None and self.frames != self.expected)


@dataclass
class Report:
    """An examination of all that a study's datasets are built from."""

    study: str
    synthetic: bool
    deep: bool
    sources: list[SourceReport]
    datasets: list[DatasetReport]

    @property
    def usable(self) -> bool:
        """Whether every dataset can be built: its frames were collected, split and read as the build does."""
        return not any(finding.level == ERROR for part in self.datasets for finding in part.findings)

    @property
    def parts(self) -> list[SourceReport | DatasetReport]:
        """Sources, then datasets."""
        return [*self.sources, *self.datasets]

    def as_dict(self) -> dict[str, Any]:
        """For programs: the same content as plain types, less the study's name: studies share datasets."""
        return {
            "synthetic": self.synthetic,
            "deep": self.deep,
            "usable": self.usable,
            "sources": [asdict(part) | {"state": part.state} for part in self.sources],
            "datasets": [asdict(part) | {"state": part.state} for part in self.datasets],
        }


def _state(findings: list[Finding], lacking: bool) -> str:
    if any(finding.level == ERROR for finding in findings):
        return "broken"
    return "partial" if lacking else "complete"
