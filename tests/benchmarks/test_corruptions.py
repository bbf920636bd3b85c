"""The benchmark of the corruptions runs and measures all it says; how fast they are is for people to read."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import corruptions as benchmark
from corruptions import STANDARD_CORRUPTIONS

# One with a reference and one without, of those that take little to compile.
NAMES = ("contrast", "gamma_correction")


def test_every_figure_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(benchmark, "_SWEPT", (48, 40))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")
    benchmark.main(["--size", "96x64", "--repeats", "1", "--names", *NAMES])
    found = json.loads(Path("results/benchmarks/corruptions.json").read_text())
    assert found["data"] == "synthetic" and found["size"] == "96x64" and found["date"] and found["machine"]
    assert tuple(found["rows"]) == tuple(sorted(NAMES))
    for name, row in found["rows"].items():
        has_reference = name == "contrast"
        for size in ("224x224", "96x64"):
            assert row[size]["fast_ms"] > 0
            assert (row[size].get("reference_ms", 0) > 0) == (row[size].get("ratio", 0) > 0) == has_reference
        assert row["first_call_kept_s"] > 0 and row["first_call_compiled_s"] > 0
        assert (row["memory_bytes"] is not None) == (sys.platform == "linux")
    assert tuple(found["sweep"]["rows"]) == ("contrast",) and found["sweep"]["ratio"] > 0
    assert found["first_call_of_all"]["kept_s"] > 0 and isinstance(found["missed"], list)
    shown = capsys.readouterr().out
    assert all(f"\n{name}" in shown for name in NAMES) and "all 1" in shown and "missed targets" in shown
    assert [path.name for path in tmp_path.iterdir()] == ["results"], "nothing is left but the figures"


def test_something_is_asked_of_every_corruption_that_can_be_faster() -> None:
    free = {"pixelate", "jpeg_compression", "gamma_correction"}
    assert {*benchmark.TARGET_RATIO, *benchmark.TARGET_MS} == set(STANDARD_CORRUPTIONS) - free
    assert set(benchmark.WITHOUT_REFERENCE) < set(STANDARD_CORRUPTIONS)


@pytest.mark.skipif(sys.platform != "linux", reason="the high-water mark is Linux's")
def test_memory_of_numpy_beyond_the_result_is_seen() -> None:
    def work() -> np.ndarray:
        passing = np.ones(40_000_000, np.uint8)
        return np.ones(10_000_000, np.uint8) + passing[0]

    peak = benchmark.peak_memory(work)
    # The sum holds its operand for a while beside the 40 MB.
    assert peak is not None and 39e6 < peak < 53e6


def test_what_is_missed_is_named() -> None:
    size = "1280x1024"
    rows = {
        "zoom_blur": {size: {"ratio": 14.0}, "memory_bytes": 12.5},
        "contrast": {size: {"ratio": 8.0}, "memory_bytes": 12.0},
        "smoke": {size: {"fast_ms": 61.0}, "memory_bytes": None},
        "pixelate": {size: {"ratio": 0.5}, "memory_bytes": 0.0},
    }
    missed = benchmark.find_missed(rows, {"ratio": 3.5}, size)
    assert [text.split()[0] for text in missed] == ["zoom_blur", "zoom_blur", "smoke", "the"]
    assert benchmark.find_missed({}, {"rows": {}}, size) == []


@pytest.mark.parametrize("text", ["1280", "axb", "1280x", "16x1024"])
def test_bad_sizes_are_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        benchmark.main(["--size", text])
    assert "as 1280x1024" in capsys.readouterr().err
