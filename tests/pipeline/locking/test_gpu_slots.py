"""Slots of GPUs, with an nvidia-smi that says what a test wants."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.locking import gpu_slots as gpus
from pipeline.locking.gpu_slots import claim_device, devices, slots
from pipeline.study.loading import make_study
from pipeline.study.models import Study

TWO = "0, GPU-aaaa-1\n1, GPU-bbbb-2\n"
Start = Callable[[int], subprocess.Popen[str]]

_CLAIM = """
import os, sys, time
from pipeline.locking.gpu_slots import claim_device
claim_device(int(sys.argv[1]))
assert "torch" not in sys.modules
print(os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], None]:
    """A machine with two GPUs, nobody on them, and no scheduler; call it for another answer of nvidia-smi."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "slots").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "slots"))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr(gpus, "_claimed_device", None)
    monkeypatch.setattr(gpus, "_POLL_SECONDS", 0.05)
    for name in ("CUDA_VISIBLE_DEVICES", *gpus._SCHEDULERS):
        monkeypatch.delenv(name, raising=False)

    def say(text: str, code: int = 0) -> None:
        path = tmp_path / "bin/nvidia-smi"
        path.write_text(f"#!/bin/sh\ncat <<'END'\n{text}END\nexit {code}\n")
        path.chmod(0o755)

    say(TWO)
    return say


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a process that claims a device and keeps it."""
    begun: list[subprocess.Popen[str]] = []

    def make(per_device: int) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", _CLAIM, str(per_device)]
        begun.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return begun[-1]

    yield make
    for process in begun:
        process.kill()
        process.communicate()


def told(process: subprocess.Popen[str]) -> str:
    """The device that a process was told."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, ["GPU-aaaa-1", "GPU-bbbb-2"]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("1", ["GPU-bbbb-2"]),
        ("1,0", ["GPU-bbbb-2", "GPU-aaaa-1"]),
        ("0,7,1", ["GPU-aaaa-1"]),
        ("GPU-bbbb", ["GPU-bbbb-2"]),
        ("GPU-aaaa-1, GPU-bbbb-2", ["GPU-aaaa-1", "GPU-bbbb-2"]),
        ("GPU-cccc", []),
        ("MIG-0001,MIG-0002", ["MIG-0001", "MIG-0002"]),
        ("0,0", ["GPU-aaaa-1"]),
    ],
)
def test_devices_are_those_that_are_visible(
    visible: str | None, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert devices() == expected


def test_an_nvidia_smi_that_is_not_there_or_fails_is_no_gpu(
    machine: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minimal: Callable[..., Any]
) -> None:
    for text, code in (("No devices were found\n", 0), ("0, GPU-aaaa-1\n", 9), ("", 0), ("a, b, c\n", 0)):
        machine(text, code)
        assert devices() == [] and claim_device(1) is None
    monkeypatch.setenv("PATH", str(tmp_path / "slots"))
    assert devices() == [] and claim_device(1) is None
    assert "CUDA_VISIBLE_DEVICES" not in os.environ and list((tmp_path / "slots").iterdir()) == []
    assert slots(make_study(minimal())) == 0


def test_slots_are_those_of_all_devices(minimal: Callable[..., dict[str, Any]]) -> None:
    study: Study = make_study(minimal())
    training = {**study.training.as_dict(), "cells_per_gpu": 3}
    assert slots(make_study({**study.as_dict(), "training": training})) == 6


def test_processes_spread_wait_and_a_killed_one_frees_its_slot(start: Start) -> None:
    first = [start(2) for _ in range(4)]
    assert sorted(told(one) for one in first) == ["GPU-aaaa-1"] * 2 + ["GPU-bbbb-2"] * 2
    fifth = start(2)
    assert fifth.stderr is not None
    said = fifth.stderr.readline()
    assert said.startswith("waiting for a GPU: 4 processes use them (") and str(first[0].pid) in said
    assert "training.cells_per_gpu: 2" in said and fifth.poll() is None
    where = next(one for one in first if one.stderr is not None and "GPU-bbbb-2 (slot 2 of 2)" in one.stderr.readline())
    where.kill()
    assert told(fifth) == "GPU-bbbb-2"


def test_first_slots_come_first(start: Start) -> None:
    one = start(3)
    assert told(one) == "GPU-aaaa-1"
    assert told(start(3)) == "GPU-bbbb-2" and told(start(3)) == "GPU-aaaa-1"


def test_a_process_asks_once(capsys: pytest.CaptureFixture[str]) -> None:
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    try:
        assert claim_device(1) == claim_device(1) == os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-aaaa-1"
    finally:
        os.environ.pop("CUDA_VISIBLE_DEVICES")
    assert before is None and capsys.readouterr().err == "device: GPU-aaaa-1 (slot 1 of 1)\n"


def test_without_locks_devices_are_drawn_and_it_is_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody sees who else is there: everybody on the first device would be the worst."""
    monkeypatch.setattr(gpus, "take", lambda *given, **named: None)
    drawn = set()
    try:
        for _ in range(64):
            monkeypatch.setattr(gpus, "_claimed_device", None)
            os.environ.pop("CUDA_VISIBLE_DEVICES", None)
            drawn.add(claim_device(2))
            claim_device(2)
            said = capsys.readouterr().err
            assert said.count("(drawn at random: ") == 1 and "(slot " not in said
    finally:
        os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    assert drawn == {"GPU-aaaa-1", "GPU-bbbb-2"}


def test_a_scheduler_tells_the_device_but_an_allocation_of_several_is_shared_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert claim_device(1) is None
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert claim_device(1) is None and os.environ["CUDA_VISIBLE_DEVICES"] == "1"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,0")
    assert claim_device(1) == "GPU-bbbb-2"
