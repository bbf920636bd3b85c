"""Collect the findings of a verification: for each kind of file a check with failures, gaps and warnings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from endoarss.errors import SettingsError
from pipeline.errors import InputError
from reports.errors import ResultsError

_SHOWN_AT_MOST = 20  # findings per kind in the text; JSON has all


@dataclass(frozen=True)
class Failure:
    """A file or value that is wrong: where it is, what was found and expected, and what to do."""

    where: str
    found: str
    expected: str = ""
    advice: str = ""

    def __str__(self) -> str:
        """Return the failure in one line."""
        expected = f"; expected {self.expected}" if self.expected else ""
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.found}{expected}.{f' {self.advice}' if self.advice else ''}"


@dataclass
class Check:
    """A check of one kind of file.

    Attributes:
        name: the check's name in the report.
        what: what is checked, in the plural, e.g. "tables of rows and scores".
        checked: number of files and tables that were checked.
        failures: what is wrong.
        gaps: what is missing, so that it could not be checked.
        warnings: differences that may be harmless; a person should decide.
        notes: further information.
    """

    name: str
    what: str
    checked: int = 0
    failures: list[Failure] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def fail(self, where: object, found: str, expected: str = "", advice: str = "") -> None:
        """Add a failure; see `Failure`."""
        self.failures.append(Failure(str(where), found, expected, advice))

    def compare_digest(self, path: object, found: str, expected: str, origin: str, advice: str) -> None:
        """Add a failure if a file's SHA-256 is not the expected one. origin: where the expected one comes from, in words."""
        if found != expected:
            self.fail(path, f"sha256 {found[:12]}", f"{str(expected)[:12]}, {origin}", advice)

    def has(self, path: Path, gap: str = "missing") -> bool:
        """Return whether a file exists; if not, add a gap with the text `gap`."""
        if not path.is_file():
            self.gaps.append(f"{path}: {gap}")
        return path.is_file()

    @contextmanager
    def collects_errors(self, where: object) -> Iterator[None]:
        """Turn an error in the block into a failure of the file `where`, and continue, so that a verification reports everything."""
        try:
            yield
        except (InputError, SettingsError, ResultsError) as error:
            self.failures.append(Failure("", str(error).rstrip(".")))  # the message is complete
        except FileNotFoundError as error:
            self.fail(error.filename or where, "missing", "", "Run snakemake.")
        except Exception as error:  # a damaged file may raise anything
            message = " ".join(str(error).split())[:200]
            self.fail(where, f"cannot be checked ({type(error).__name__}: {message})", "a whole file", "Run snakemake.")

    def add(self, other: Check) -> None:
        """Add the findings of another check of the same kind."""
        self.checked += other.checked
        for name in ("failures", "gaps", "warnings", "notes"):
            getattr(self, name).extend(getattr(other, name))

    def lines(self) -> list[str]:
        """Return the check as text: a line of counts, then the findings."""
        counts = [f"{len(self.failures)} wrong"]
        counts += [f"{len(self.gaps)} missing"] if self.gaps else []
        counts += [f"{len(self.warnings)} to look at"] if self.warnings else []
        lines = [f"{self.name}: {self.checked:,} {self.what} checked, {', '.join(counts)}"]
        for kind, findings in (
            ("wrong", self.failures),
            ("look at", self.warnings),
            ("missing", self.gaps),
            ("note", self.notes),
        ):
            lines += [f"  {kind}: {finding}" for finding in findings[:_SHOWN_AT_MOST]]
            more = len(findings) - _SHOWN_AT_MOST
            lines += [f"  {kind}: and {more:,} more"] if more > 0 else []
        return lines


@dataclass(frozen=True)
class Report:
    """All checks of a study, and in words what was not checked."""

    study: str
    study_sha256: str
    checks: Sequence[Check]
    not_checked: Sequence[str] = ()

    @property
    def failures(self) -> int:
        """The number of failures."""
        return sum(len(check.failures) for check in self.checks)

    def show(self) -> str:
        """Return the report as text."""
        lines = [line for check in self.checks for line in check.lines()]
        if self.not_checked:
            lines += ["not checked:", *(f"  {line}" for line in self.not_checked)]
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """Return the complete report as JSON data."""
        return {
            "study": self.study,
            "study_sha256": self.study_sha256,
            "passed": not self.failures,
            "checks": [asdict(check) for check in self.checks],
            "not_checked": list(self.not_checked),
        }
