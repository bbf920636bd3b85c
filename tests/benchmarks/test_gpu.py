"""The GPU benchmark runs whole without a GPU, imports only what it may, loses nothing when something fails, and says what it missed."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement

from benchmarks import gpu
from benchmarks.gpu_parts import packages, run
from benchmarks.gpu_parts.part import Part
from benchmarks.gpu_parts.plan import PARTS, budget
from benchmarks.gpu_parts.setup import Setup
from benchmarks.gpu_parts.table import AUTHORS, AUTHORS_STEP, INFERENCE, LOOP, WORK, table, targets

ROOT = Path(__file__).parents[2]
DRY_RUN = ["--device", "cpu", "--tiny"]
# Makes every module of the named distributions absent, in each process that is started.
HIDES = """
import sys
from importlib.machinery import PathFinder
class Hiding(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in {names!r} else super().find_spec(name, path, target)
sys.meta_path = [Hiding if finder is PathFinder else finder for finder in sys.meta_path]
"""


def needed(names: set[str]) -> set[str]:
    """Distributions and all they depend on here, extras apart."""
    found: set[str] = set()
    waiting = {plain(name) for name in names}
    while waiting:
        name = waiting.pop()
        found.add(name)
        for text in importlib.metadata.requires(name) or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting |= {plain(requirement.name)} - found
    return found


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def hidden_modules() -> set[str]:
    """The top-level modules that only distributions beyond the list have."""
    allowed = needed(set(packages.PACKAGES)) | {"endoarss"}
    modules = importlib.metadata.packages_distributions().items()
    return {module for module, owners in modules if not {plain(owner) for owner in owners} & allowed}


def dry_run(tmp_path: Path, *arguments: str, compiled: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the command where what is beyond the list does not exist. Without `compiled`, torch.compile returns what it is given."""
    hidden = hidden_modules()
    assert {"snakemake", "dvc", "matplotlib", "seaborn", "jsonschema", "hypothesis"} <= hidden
    assert not {"torch", "numpy", "pydantic", "yaml", "PIL", "endoarss"} & hidden
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(HIDES.format(names=hidden))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= {} if compiled else {"TORCHDYNAMO_DISABLE": "1"}
    command = [sys.executable, "-m", "benchmarks.gpu", *DRY_RUN, "--out", str(tmp_path / "out"), *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)


@pytest.mark.slow
def test_compiled_steps_are_measured(tmp_path: Path) -> None:
    done = dry_run(tmp_path, "--minutes", "8", "--parts", "repeats", "batches")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "two runs, bf16, compiled" in done.stdout
    for name in ("repeats", "batches"):
        saved = json.loads((tmp_path / f"out/{name}.json").read_text())
        assert saved["ended"] == "done" and saved["rows"] and not saved["not_measured"], name


@pytest.mark.slow
def test_every_part_runs_without_a_gpu_and_without_other_packages(tmp_path: Path) -> None:
    """Nothing is compiled here, which saves minutes; the test above compiles."""
    done = dry_run(tmp_path, "--minutes", "14", compiled=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in PARTS:
        saved = json.loads((tmp_path / f"out/{name}.json").read_text())
        assert saved["ended"] == "done" and saved["rows"] and not saved["not_measured"], name
        assert saved["machine"]["torch"] == torch.__version__
    text = (tmp_path / "out/gpu.txt").read_text()
    assert "dry run" in text and "not measured" not in text and "FAILED" not in text
    for row in ("authors' loop", "2 at once", "study, endoarss tesla", "two runs, bf16, compiled", "tests passed"):
        assert row in text
    assert all(line in done.stdout for line in text.splitlines())


def test_the_import_of_a_hidden_package_fails(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(HIDES.format(names=hidden_modules()))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", "import matplotlib"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and "No module named 'matplotlib'" in done.stderr


def test_all_that_is_missing_is_said_in_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = {"timm", "pydantic", "cv2"}
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda module: None if module in absent else module)
    with pytest.raises(SystemExit, match="missing: timm, opencv-python-headless, pydantic. Install them"):
        gpu.main(DRY_RUN)


def test_an_old_torch_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages.importlib.metadata, "version", lambda name: "2.10.1+cu128")
    assert "torch is 2.10.1+cu128; expected 2.11 or newer" in packages.missing_packages()
    monkeypatch.setattr(packages.importlib.metadata, "version", lambda name: "2.11.0")
    assert not packages.missing_packages()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--device", "cpu"], "expected --tiny"), ([*DRY_RUN, "--minutes", "0"], "more than 0"), (["--parts", "x"], "x")],
)
def test_bad_arguments_are_refused(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        gpu.main(arguments)
    assert said in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_machine_without_gpu_is_told_of_the_dry_run(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="finds no GPU.*--device cpu --tiny"):
        gpu.main(["--out", str(tmp_path)])


def a_part(tmp_path: Path, seconds: float = 60) -> Part:
    setup = Setup(True, torch.device("cpu"), tmp_path)
    return Part("toy", tmp_path / "toy.json", {"card": "none"}, setup, time.time() + seconds)


def saved(tmp_path: Path) -> dict:
    return json.loads((tmp_path / "toy.json").read_text())


def test_a_failure_costs_one_measurement(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def fails(error: Exception) -> dict:
        raise error

    part = a_part(tmp_path)
    assert part.measure("broken", partial(fails, ValueError("no such kernel\nand more"))) is None
    assert saved(tmp_path)["rows"][0]["failed"] == "ValueError: no such kernel"
    assert part.measure("too large", partial(fails, torch.OutOfMemoryError("80 GiB asked for"))) is None
    assert part.measure("fine", lambda: {"images_per_second": 12.0})["images_per_second"] == 12.0
    assert [row["name"] for row in saved(tmp_path)["rows"]] == ["broken", "too large", "fine"]
    assert "failed" not in saved(tmp_path)["rows"][1] and "80 GiB" in saved(tmp_path)["rows"][1]["out_of_memory"]
    shown = capsys.readouterr()
    assert "FAILED: ValueError: no such kernel" in shown.out and "12.0 images/s" in shown.out
    assert "Traceback" in shown.err


def test_nothing_starts_when_the_time_is_over(tmp_path: Path) -> None:
    part = a_part(tmp_path, seconds=-1)
    assert part.measure("late", lambda: pytest.fail("it ran")) is None
    part.save("out of time")
    assert saved(tmp_path)["not_measured"] == ["late"] and saved(tmp_path)["rows"] == []


def test_what_a_part_leaves_over_goes_to_the_others() -> None:
    names = list(PARTS)
    assert budget(480, names) == pytest.approx(480 * PARTS["tests"].share)
    assert budget(30, names[-1:]) == pytest.approx(30)
    assert sum(plan.share for plan in PARTS.values()) == pytest.approx(1)


def test_a_part_that_hangs_or_dies_keeps_its_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts stand in for themselves here: a program saves a row, starts another one, and hangs or dies."""
    program = tmp_path / "part.sh"
    program.write_text(
        '#!/bin/sh\nname=$3\nfor word; do [ "$before" = --file ] && file=$word; before=$word; done\n'
        'echo \'{"ended": "under way", "machine": {}, "not_measured": [], "rows": [{"name": "kept"}], "seconds": 0}\' > "$file"\n'
        'echo a traceback >&2\nif [ "$name" = tests ]; then while :; do touch "$file.alive"; sleep 0.1; done & wait; fi\n'
        '[ "$name" = training ] && rm "$file"\nkill -9 $$\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr(run.sys, "executable", str(program))
    started = time.time()
    for name, seconds in (("tests", 21.0), ("training", 60.0), ("authors", 60.0)):
        monkeypatch.setitem(run.PARTS, name, PARTS[name].__class__(1.0, 0.0))
        assert run.run_parts([name], 2.0 if name == "tests" else seconds, "cpu", True, tmp_path / "out") == 1
    assert time.time() - started < 30
    hung = json.loads((tmp_path / "out/tests.json").read_text())
    assert hung["ended"].startswith("stopped early") and hung["rows"] == [{"name": "kept"}]
    alive = tmp_path / "out/tests.json.alive"
    alive.unlink()
    time.sleep(0.5)
    assert not alive.exists(), "what the part started ended with it"
    died = json.loads((tmp_path / "out/authors.json").read_text())
    assert died["ended"].startswith("FAILED (its process ended with status -9)")
    assert "FAILED: its process ended with status -9" in run._saved("training", tmp_path / "out", -9, started)
    assert (tmp_path / "out/authors.stderr.txt").read_text() == "a traceback\n"


@pytest.mark.slow
def test_what_was_measured_stands_in_the_text_after_an_interruption(tmp_path: Path) -> None:
    """The command is asked to end in its first part, as `timeout` and schedulers do."""
    command = [sys.executable, "-m", "benchmarks.gpu", *DRY_RUN, "--parts", "repeats", "--out", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        shown = ""
        while "  two runs, " not in shown:
            shown = process.stdout.readline()
            assert shown, process.stderr.read() if process.stderr else ""
        process.terminate()
        assert process.wait(60) == 128 + 15
    text = (tmp_path / "gpu.txt").read_text()
    assert "repeats" in text and "stopped early" in text and "two runs, float32" in text


def test_a_folder_that_takes_no_files_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit, match="is not writable .*Choose another folder with --out"):
        gpu.main([*DRY_RUN, "--out", str(tmp_path / "file")])


def test_a_part_without_time_is_not_started(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.run_parts(["cells"], 1.0, "cpu", True, tmp_path) == 0
    assert "cells: not started" in (tmp_path / "gpu.txt").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["gpu.txt"]


def test_targets_stand_beside_what_was_measured() -> None:
    rows = [
        {"name": LOOP, "images_per_second": 500.0, "memory_mib": 9000.0},
        {"name": INFERENCE, "images_per_second": 1499.0, "memory_mib": 1700.0},
        {"name": AUTHORS, "images_per_second": 100.0},
        {"name": WORK, "training_gflop": 219.0},
    ]
    found = targets(rows)
    assert [text.split()[-1] for text in found[:5]] == ["met", "met", "MISSED", "MISSED", "met"]
    assert "5.0" in found[4] and "not measured" in found[5] and "219.0" in found[6]
    assert all("not measured" in text for text in targets([{**row, "failed": "x"} for row in rows]))
    step = {"name": AUTHORS_STEP, "images_per_second": 250.0}
    assert "2.0" in targets([*rows, step])[5]


def test_passed_tests_are_counted_and_failed_ones_are_named() -> None:
    rows = [
        {"name": "good", "outcome": "passed"},
        {"name": "bad", "outcome": "failed", "failed": "assert 1 == 2"},
        {"name": "tests", "tests failed": 1, "tests passed": 1},
    ]
    part = {"machine": {"card": "H100"}, "ended": "done", "seconds": 3.0, "rows": rows, "not_measured": ["later"]}
    text = table({"tests": part, "cells": "not started: no time"}, tiny=False)
    assert "good" not in text and "FAILED: assert 1 == 2" in text and "tests passed 1" in text
    assert (
        "card     H100" in text and "cells: not started: no time" in text and "because the time was over: later" in text
    )
