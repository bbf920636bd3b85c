"""One process writes a thing at a time: others wait and say for whom, and a killed one is in nobody's way."""

from __future__ import annotations

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

import pytest

from pipeline.cli import COMMANDS
from pipeline.cli.groups import Command, Group
from pipeline.cli.results import REPORT_STEPS
from pipeline.errors import InputError
from pipeline.locking import locks
from pipeline.locking.command_locks import cell_lock, data_lock, in_order, report_lock, study_lock
from pipeline.locking.locks import HeldError, Holder, Lock, held, holder, holders_below, take
from pipeline.study.cells import find_cell
from pipeline.study.loading import load_study, make_study
from pipeline.study.models import Study
from tests.pipeline.parsing import work_of, working

CELL = "mtlesd/resnet/hps/equal/r4-s0"
ROOT = Path(__file__).parents[3]
MTLESD = ("--dataset", "mtlesd")
Start = Callable[..., subprocess.Popen[str]]

# Holds a command's locks, as the command line does, until somebody kills it.
_HOLD = """
import sys, time
from pathlib import Path
from pipeline.study.loading import load_study, make_study
from tests.pipeline.parsing import working
with working(load_study(Path("study.yaml")), *sys.argv[2:]):
    print("has it", flush=True)
    time.sleep(float(sys.argv[1]))
"""


@pytest.fixture
def study(study_file: Path) -> Study:
    return load_study(study_file)


@pytest.fixture
def start(study_file: Path) -> Iterator[Start]:
    """Start a process that holds what a command holds."""
    begun: list[subprocess.Popen[str]] = []

    def make(*words: str, seconds: float = 60) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", _HOLD, str(seconds), *words]
        begun.append(
            subprocess.Popen(
                command,
                cwd=study_file.parent,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                bufsize=1,
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
    first = start("train", "--cell", CELL)
    assert has_it(first)
    second = start("train", "--cell", CELL, seconds=0)
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
    scores, robust = start("evaluate", "--cell", CELL), start("robustness", "--cell", CELL, "--cell", CELL)
    assert has_it(scores) and has_it(robust)
    training = start("train", "--cell", CELL, seconds=0)
    assert waits(training).startswith(f"waiting for process {scores.pid}, which scores {CELL}")
    again = start("robustness", "--cell", CELL, seconds=0)
    assert f"process {robust.pid}, which evaluates the robustness of {CELL}" in waits(again)
    scores.kill()
    robust.kill()
    assert has_it(training) and has_it(again)


def test_predicting_again_is_as_training(start: Start) -> None:
    again = start("evaluate", "--cell", CELL, "--again")
    assert has_it(again)
    assert f"process {again.pid}, which scores {CELL}" in waits(start("robustness", "--cell", CELL, seconds=0))


@pytest.mark.slow
def test_datasets_and_reports_exclude_their_own_kind_alone(start: Start) -> None:
    build = start("step", "build_dataset", *MTLESD)
    assert has_it(build)
    assert "which builds mtlesd" in waits(start("step", "pack_dataset", *MTLESD, seconds=0))
    assert has_it(start("step", "collect_results", seconds=0)), "another thing"
    tables = start("step", "make_tables")
    assert has_it(tables)
    assert "which makes the tables of toy" in waits(start("report", seconds=0))


def test_several_cells_are_taken_in_one_order(study: Study) -> None:
    """Whoever asks for cells in another order takes them in the same one, so that two never wait for each other."""
    other = "mtlesd/resnet/hps/db_mtl/r4-s0"
    both = make_study(
        {**study.as_dict(), "cells": [{**study.cell_blocks[0].as_dict(), "weightings": ["equal", "db_mtl"]}]}
    )
    given = work_of(both, "robustness", "--cell", CELL, "--cell", other)
    turned = work_of(both, "robustness", "--cell", other, "--cell", CELL)
    taken = in_order(given.locks)
    assert given.does == turned.does and taken == in_order(turned.locks)
    paths = [lock.path for lock in taken]
    assert [path.stem for path in paths] == ["train", "robustness"] * 2 and len(set(paths)) == 4
    assert [path.parent for path in paths] == sorted(path.parent for path in paths)


def test_who_asks_for_a_lock_shared_and_alone_gets_it_once_alone() -> None:
    """Else it would wait for itself."""
    a, b = Path("a.lock"), Path("b.lock")
    assert in_order([Lock(b, True), Lock(a, True), Lock(a), Lock(b, True)]) == [Lock(a), Lock(b, True)]


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
        monkeypatch.setattr(locks, "_holder_or_sharer", lambda path: pytest.fail("it waits for who looks"))
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
    assert said.count("this file system has no locks") == 1 and str(tmp_path) in said


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


# `use`, `record` and `restore` write what belongs to no study; `clean` locks by itself.
WITHOUT_LOCKS = {
    "doctor",
    "list",
    "status",
    "verify",
    "clean",
    "predict",
    "new",
    "use",
    "record",
    "restore",
    "check_sources",
}


def commands(group: Group = COMMANDS) -> Iterator[tuple[tuple[str, ...], Command]]:
    """Each command with the words that call it, steps among them."""
    for name, command in group.commands.items():
        if isinstance(command, Group):
            yield from (((name, *words), step) for words, step in commands(command))
        elif isinstance(command, Command):
            yield (name,), command


def test_every_command_is_known_to_write_or_not_to(study: Study) -> None:
    """A new command has to be named here or get locks: one that is forgotten would write unguarded."""
    assert {words[-1] for words, command in commands() if command.locks is None} == WITHOUT_LOCKS
    nothing_there = {"pretrain_backbone", "generate_raw"}  # the study has no pretraining and generates no tree
    for words, command in commands():
        if command.locks is not None and words[-1] not in nothing_there:
            named = {option for one in command.params for option in one.opts}
            given = [*(MTLESD if "--dataset" in named else ()), *(("--cell", CELL) if "--cell" in named else ())]
            given += [CELL, "--method", "ties", "--out", "merged"] if words == ("merge",) else []
            given = ["--cell", CELL] if words == ("robustness",) else given
            work = work_of(study, *words, *given)
            assert work.locks and work.does, words
            assert all(
                lock.path.parts[:3] == ("results", "toy", ".locks") or lock.path.parts[:2] == ("data", ".locks")
                for lock in work.locks
            )


def test_a_report_excludes_each_of_its_steps(study: Study) -> None:
    steps = {words[-1] for words, command in commands() if words[0] == "step" and command.locks is not None}
    locked = {lock.path for lock in work_of(study, "report").locks}
    assert locked == {report_lock(study, name) for name in REPORT_STEPS} and set(REPORT_STEPS) <= steps
    for name in REPORT_STEPS:
        assert {lock.path for lock in work_of(study, "step", name).locks} == {report_lock(study, name)}, name
    assert list(work_of(study, "step", "compile_paper").locks) == list(work_of(study, "paper").locks)


def test_what_runs_a_model_takes_a_slot_of_a_gpu(study: Study) -> None:
    predictor = ("robustness", "--predictor", "a:b")
    for words in (("train", "--cell", CELL), ("evaluate", "--cell", CELL, "--again"), predictor):
        assert work_of(study, *words).on_gpu, words
    masks = ("robustness", "--predictions", "masks")
    for words in (("evaluate", "--cell", CELL), ("step", "make_tables"), masks):
        assert not work_of(study, *words).on_gpu, words


def test_work_is_seen_by_who_wants_to_delete(study: Study) -> None:
    with working(study, "step", "make_tables"):
        for path in (data_lock(), study_lock(study)):
            with pytest.raises(HeldError):
                take(Lock(path), Holder.here("clean", "cleans"), wait=False)


def test_a_name_that_the_study_does_not_have_makes_no_lock(study: Study) -> None:
    for step in ("build_dataset", "pack_dataset", "score_references", "corrupt_images"):
        with pytest.raises(InputError, match=r"has no dataset '\.\./\.\./elsewhere'. Its datasets: mtlesd"):
            work_of(study, "step", step, "--dataset", "../../elsewhere")
    assert work_of(study, "step", "generate_raw", "--tree", "../../elsewhere").locks == []
