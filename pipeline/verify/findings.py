"""What a verification says: one check a kind of thing, with what it found wrong, what is not there, and what is worth a look."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from endoarss.errors import SettingsError
from pipeline.errors import InputError
from reports.errors import ResultsError

_SHOWN = 20  # of each kind; JSON has them all


@dataclass(frozen=True)
class Failure:
    """where: a file, and in it. found, expected: what is there, what should be. advice: what to do."""

    where: str
    found: str
    expected: str = ""
    advice: str = ""

    def __str__(self) -> str:
        """In one line."""
        expected = f"; expected {self.expected}" if self.expected else ""
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.found}{expected}.{f' {self.advice}' if self.advice else ''}"


@dataclass
class Check:
    """One kind of thing. checked: how many. failures: what is wrong. gaps: what is not there yet. warnings: what differs and may.
    told: what was seen on the way."""

    name: str
    what: str
    checked: int = 0
    failures: list[Failure] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def fail(self, where: object, found: str, expected: str = "", advice: str = "") -> None:
        """Note something wrong; see `Failure`."""
        self.failures.append(Failure(str(where), found, expected, advice))

    def compare_digest(self, path: object, found: str, expected: str, whose: str, advice: str) -> None:
        """Note a file whose SHA-256 is not the expected one; whose: who expects it, in words."""
        if found != expected:
            self.fail(path, f"sha256 {found[:12]}", f"{str(expected)[:12]}, {whose}", advice)

    def has(self, path: Path, otherwise: str = "not there") -> bool:
        """Return whether a file is there, and note a gap if it is not; otherwise: what is said of it then."""
        if not path.is_file():
            self.gaps.append(f"{path}: {otherwise}")
        return path.is_file()

    @contextmanager
    def survives(self, where: object) -> Iterator[None]:
        """Note whatever a block raises as one thing that is wrong, and go on: a verification tells of everything it was asked.

        Args:
            where: the file or thing that the block looks at.
        """
        try:
            yield
        except (InputError, SettingsError, ResultsError) as error:
            self.failures.append(Failure("", str(error).rstrip(".")))  # its message stands on its own
        except FileNotFoundError as error:
            self.fail(error.filename or where, "missing", "", "Run snakemake.")
        except Exception as error:  # what a damaged file does to a check is not known before
            said = " ".join(str(error).split())[:200]
            self.fail(where, f"cannot be checked ({type(error).__name__}: {said})", "a whole file", "Run snakemake.")

    def add(self, other: Check) -> None:
        """Take over what another check of the same kind found."""
        self.checked += other.checked
        for name in ("failures", "gaps", "warnings", "told"):
            getattr(self, name).extend(getattr(other, name))

    def lines(self) -> list[str]:
        """What people read: a line of counts, then everything that is not as it should be."""
        counts = [f"{len(self.failures)} wrong"]
        counts += [f"{len(self.gaps)} not there"] if self.gaps else []
        counts += [f"{len(self.warnings)} to look at"] if self.warnings else []
        found = [f"{self.name}: {self.checked:,} {self.what} checked, {', '.join(counts)}"]
        for mark, all_of_kind in (
            ("wrong", self.failures),
            ("look", self.warnings),
            ("not there", self.gaps),
            ("told", self.told),
        ):
            found += [f"  {mark}: {one}" for one in all_of_kind[:_SHOWN]]
            more = len(all_of_kind) - _SHOWN
            found += [f"  {mark}: and {more:,} more"] if more > 0 else []
        return found


@dataclass(frozen=True)
class Report:
    """All checks of a study."""

    study: str
    study_sha256: str
    checks: Sequence[Check]

    @property
    def failures(self) -> int:
        """How many things are wrong."""
        return sum(len(check.failures) for check in self.checks)

    def show(self) -> str:
        """What people read."""
        return "\n".join(line for check in self.checks for line in check.lines())

    def as_dict(self) -> dict[str, Any]:
        """The same for programs, with nothing left out."""
        return {
            "study": self.study,
            "study_sha256": self.study_sha256,
            "passed": not self.failures,
            "checks": [asdict(check) for check in self.checks],
        }
