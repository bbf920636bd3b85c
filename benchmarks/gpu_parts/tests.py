"""Runs the tests that need a GPU. Each test is a measurement."""

from __future__ import annotations

import contextlib
import os
import sys
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.gpu_parts.part import Part

_ROOT = Path(__file__).parents[2]
_FILE = _ROOT / "tests/endoarss/test_cuda.py"


def run(part: Part) -> None:
    """Run the tests in this process. The output of pytest goes to standard error.

    Raises:
        RuntimeError: if pytest could not run them.
    """
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # installed plugins may need packages that are missing
    recorder = Recorder(part)
    options = ["-q", "-p", "no:cacheprovider", f"--rootdir={_ROOT}", f"--basetemp={part.setup.folder / 'pytest'}"]
    with contextlib.redirect_stdout(sys.stderr):
        status = pytest.main([*options, str(_FILE)], plugins=[recorder])
    counts = recorder.counts
    part.add({"name": "tests", **{f"tests {outcome}": number for outcome, number in sorted(counts.items())}})
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED):
        raise RuntimeError(f"pytest could not run {_FILE.name}: it ended with {pytest.ExitCode(status).name}.")


class Recorder:
    """A pytest plugin that adds each test to a part, and stops when the part's time is over.

    Attributes:
        part: the part.
        counts: the number of tests by outcome.
    """

    def __init__(self, part: Part) -> None:
        self.part = part
        self.counts: Counter[str] = Counter()
        self._session: pytest.Session | None = None

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Store the session, so that it can be stopped."""
        self._session = session

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """On a GPU, run only the GPU tests. Run tests that compile last, because the time may run out during them."""
        if self.part.setup.device.type == "cuda":
            items[:] = [item for item in items if not _on_cpu(item)]
            items.sort(key=lambda item: "defaults_train" in item.name)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add a test after its call, or after a failed setup or teardown."""
        if report.when != "call" and report.passed:
            return
        self.counts[report.outcome] += 1
        row = {"name": report.nodeid.partition("::")[2], "outcome": report.outcome, "took_s": report.duration}
        if report.failed:
            row["failed"] = self._reason(report)
        self.part.add(row)
        if self.part.out_of_time and self._session is not None:
            self.part.not_measured.append("the tests after this one")
            self._session.shouldstop = "the part's time is over"

    @staticmethod
    def _reason(report: pytest.TestReport) -> str:
        """Return the first line of a failure."""
        crash = getattr(report.longrepr, "reprcrash", None)
        text = crash.message if crash is not None else report.longreprtext
        return (text.strip().splitlines() or ["no message"])[0][:200]


def _on_cpu(item: pytest.Item) -> bool:
    """Return whether a test runs on the CPU."""
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    return any(str(value).startswith("cpu") for value in parameters.values())
