"""One process writes a thing at a time: others wait and say for whom, and a killed one is in nobody's way."""

from __future__ import annotations

import argparse
import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import cli
from pipeline.locking import command_locks, locks
from pipeline.locking.command_locks import WRITING, at_work, cell_lock, data_lock, study_lock
from pipeline.locking.locks import HeldError, Holder, Lock, held, holder, holders_below, take
from pipeline.study.cells import find_cell
from pipeline.study.loading import load_study, make_study
from pipeline.study.models import Study

CELL = "mtlesd/resnet/hps/equal/r4-s0"
Start = Callable[..., subprocess.Popen[str]]

# Holds a command's locks, as the command line does, until somebody kills it.
_HOLD = """
import argparse, sys, time
from pathlib import Path
from pipeline.locking.command_locks import at_work
from pipeline.study.loading import load_study, make_study
with at_work(load_study(Path("study.yaml")), argparse.Namespace(**eval(sys.argv[1]))):
    print("has it", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def study(study_file: Path) -> Study:
    return load_study(study_file)


@pytest.fixture
def start(study_file: Path) -> Iterator[Start]:
    """Start a process that holds what a command holds."""
    begun: list[subprocess.Popen[str]] = []

    def make(seconds: float = 60, **arguments: Any) -> subprocess.Popen[str]:
        given = {"again": False, "cell": CELL, "dataset": "mtlesd", "tree": "esd", "predictions": None, **arguments}
        command = [sys.executable, "-c", _HOLD, repr(given), str(seconds)]
        begun.append(
            subprocess.Popen(
                command, cwd=study_file.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
            )
        )
        return begun[-1]

    yield make
    for process in begun:
        process.kill()
        process.communicate()


def has_it(process: subprocess.Popen[str]) -> bool:
    """Wait until a process has its locks."""
    assert process.stdout is not None
    return process.stdout.readline() == "has it\n"


def waits(process: subprocess.Popen[str]) -> str:
    """What a process says when it has to wait."""
    assert process.stderr is not None
    return process.stderr.readline()


def test_the_second_waits_says_for_whom_and_goes_on_when_the_first_is_killed(start: Start, study: Study) -> None:
    first = start(command="train")
    assert has_it(first)
    second = start(command="train", seconds=0)
    said = waits(second)
    assert said.startswith(f"waiting for process {first.pid}, which trains {CELL} (since "), said
    path = cell_lock(study, find_cell(study, CELL), "train")
    about = json.loads(path.read_text())
    assert about["pid"] == first.pid and about["command"] == "train" and about["study"] == "toy"
    assert about["started"] and about["host"]
    assert second.poll() is None, "it waits"
    first.send_signal(signal.SIGKILL)
    assert has_it(second)
    assert second.wait(10) == 0 and waits(second) == "", "said once"
    assert holder(path) is None, "what the file holds is of one that is gone"


def test_scoring_and_robustness_run_beside_each_other_but_not_beside_a_training(start: Start) -> None:
    scores, robust = start(command="evaluate", cell=[CELL]), start(command="robustness", cell=[CELL, CELL])
    assert has_it(scores) and has_it(robust)
    training = start(command="train", seconds=0)
    assert waits(training).startswith(f"waiting for process {scores.pid}, which scores {CELL}")
    again = start(command="robustness", cell=[CELL], seconds=0)
    assert f"process {robust.pid}, which evaluates the robustness of {CELL}" in waits(again)
    scores.kill()
    robust.kill()
    assert has_it(training) and has_it(again)


def test_predicting_again_is_as_training(start: Start) -> None:
    again = start(command="evaluate", cell=[CELL], again=True)
    assert has_it(again)
    assert f"process {again.pid}, which scores {CELL}" in waits(start(command="robustness", cell=[CELL], seconds=0))


def test_datasets_and_reports_exclude_their_own_kind_alone(start: Start) -> None:
    build = start(command="build")
    assert has_it(build)
    assert "which builds mtlesd" in waits(start(command="pack", seconds=0))
    assert has_it(start(command="collect", seconds=0)), "another thing"
    tables = start(command="tables")
    assert has_it(tables)
    assert "which makes the tables of toy" in waits(start(command="report", seconds=0))


def test_several_cells_are_taken_in_one_order(study: Study) -> None:
    """Whoever asks for cells in another order takes them in the same one, so that two never wait for each other."""
    other = "mtlesd/resnet/hps/db_mtl/r4-s0"
    both = make_study(
        {**study.as_dict(), "cells": [{**study.cell_blocks[0].as_dict(), "weightings": ["equal", "db_mtl"]}]}
    )
    given = argparse.Namespace(command="robustness", cell=[CELL, other])
    turned = argparse.Namespace(command="robustness", cell=[other, CELL])
    taken = command_locks._of_command(both, "robustness", given)
    assert taken == command_locks._of_command(both, "robustness", turned)
    paths = [lock.path for lock in taken[1]]
    assert [path.stem for path in paths] == ["train", "robustness"] * 2 and len(set(paths)) == 4


def test_looking_is_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / ".locks/a.lock"
    assert holder(path) is None and not path.exists()
    descriptor = take(Lock(path), Holder.here("train", "trains x"))
    assert descriptor is not None
    found = holder(path)
    assert found is not None and (found.pid, found.does) == (os.getpid(), "trains x")
    assert holders_below(tmp_path) == [found] and holders_below(tmp_path / "nowhere") == []
    with pytest.raises(HeldError):
        take(Lock(path), Holder.here("train", "trains x"), wait=False)
    locks.release(descriptor)
    with path.open() as looking:  # as `holder` does for an instant
        fcntl.flock(looking, fcntl.LOCK_SH)
        # It looks away in the first pause. Whoever waited for good would wait for this very process: it fails instead.
        monkeypatch.setattr(time, "sleep", lambda seconds: fcntl.flock(looking, fcntl.LOCK_UN))
        monkeypatch.setattr(locks, "_in_the_way", lambda path: pytest.fail("it waits for who looks"))
        descriptor = take(Lock(path), Holder.here("train", "trains y"), wait=True)
        assert descriptor is not None
        assert capsys.readouterr().err == "", "nobody to wait for"
        locks.release(descriptor)
    assert holder(path) is None


def test_a_lock_that_was_cleaned_away_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    me = Holder.here("clean", "cleans")
    with held([Lock(path)], me):
        path.unlink()
        with held([Lock(path)], me):  # another file: it does not wait for the old one
            assert holder(path) is not None


def test_a_torn_file_names_nobody(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with held([Lock(path)], Holder.here("train", "trains")):
        for torn in ("", '{"pid": 12', "[]", '{"pid": "x"}', '{"another": 1}'):
            path.write_text(torn)
            assert holder(path) == Holder(), torn
    assert str(Holder()).startswith("another process")


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOTSUP])
def test_without_locks_it_warns_once_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], code: int
) -> None:
    def fail(*given: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(locks, "_warned", False)
    monkeypatch.setattr(fcntl, "flock", fail)
    with held([Lock(tmp_path / "a.lock"), Lock(tmp_path / "b.lock")], Holder.here("train", "trains")):
        pass
    assert holder(tmp_path / "a.lock") is None
    said = capsys.readouterr().err
    assert said.count("no locks on this file system") == 1 and str(tmp_path) in said


def test_a_data_folder_that_cannot_be_written_to_is_no_obstacle_to_reading_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: object, **named: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "mkdir", fail)
    assert take(Lock(tmp_path / "x/data.lock", shared=True), Holder()) is None
    with pytest.raises(OSError, match="Read-only"):
        take(Lock(tmp_path / "x/train.lock"), Holder())


def test_a_forked_process_does_not_keep_a_lock(tmp_path: Path) -> None:
    """Else it would outlive a killed command for as long as some process of its lives."""
    script = """
import os, sys, time
from pathlib import Path
from pipeline.locking.locks import Holder, Lock, take
take(Lock(Path(sys.argv[1])), Holder.here("train", "trains"))
if os.fork() == 0:
    print(os.getpid(), flush=True)
    time.sleep(60)
time.sleep(60)
"""
    path = tmp_path / "a.lock"
    with subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        try:
            assert holder(path) is not None
            process.kill()
            process.wait()
            assert holder(path) is None and locks.is_alive(child)
        finally:
            os.kill(child, signal.SIGKILL)


def test_every_command_is_known_to_write_or_not_to(study: Study) -> None:
    """A new command has to be named here or get locks: one that is forgotten would write unguarded."""
    # `use`, `record` and `restore` write what belongs to no study; `clean` locks by itself.
    other = {"doctor", "status", "list", "predict", "clean", "verify", "use", "record", "restore"}
    commands = next(a for a in cli._parser()._actions if isinstance(a, argparse._SubParsersAction)).choices
    assert set(commands) - other == WRITING
    given = {"cell": CELL, "dataset": "mtlesd", "tree": "esd", "again": False}
    given |= {"models": [CELL], "method": ["ties"], "surgery": None, "out": Path("merged")}
    for command in WRITING - {"robustness", "pretrain", "generate"}:
        asked = given | ({"cell": [CELL]} if command == "evaluate" else {})
        own = command_locks._of_command(study, command, argparse.Namespace(command=command, **asked))[1]
        assert own, command


def test_work_is_seen_by_who_wants_to_delete(study: Study) -> None:
    with at_work(study, argparse.Namespace(command="tables")):
        for path in (data_lock(), study_lock(study)):
            with pytest.raises(HeldError):
                take(Lock(path), Holder.here("clean", "cleans"), wait=False)


def test_a_name_that_the_study_does_not_have_makes_no_lock(study: Study) -> None:
    for command in ("build", "references", "corrupt"):
        given = argparse.Namespace(command=command, dataset="../../elsewhere")
        assert command_locks._of_command(study, command, given)[1] == []
