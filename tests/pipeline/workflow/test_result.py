"""Results and done.json: current exactly while all that decides them is as it was."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.io.known_digests import KnownDigests
from pipeline.workflow.making import are_current, making
from pipeline.workflow.plan import decides_file, set_plan_times, stale_results
from pipeline.workflow.result import Result, upstream_digests
from pipeline.workflow.results_of_study import ResultsOfStudy

CODE = ("pipeline/io/hashing.py",)
Make = Callable[..., Result]


class Chain(ResultsOfStudy):
    """A dataset and a model, in place of a study's results."""

    def __init__(self, *results: Result) -> None:
        self.digests = KnownDigests()
        self.__dict__["all"] = list(results)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def data(settings: object = 1) -> Result:
    return Result(
        "build", "d", Path("d/done.json"), lambda: ({"n": settings}, CODE), (), (Path("d/list"),), (Path("d/images"),)
    )


def model(upstream: Result, settings: object = 1, name: str = "m") -> Result:
    folder = Path(name)
    return Result(
        "train", name, folder / "done.json", lambda: ({"lr": settings}, CODE), (upstream,), (folder / "weights",)
    )


def write(result: Result, text: str = "x") -> None:
    for path in result.files:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    for folder in result.folders:
        folder.mkdir(exist_ok=True)
        (folder / "one").write_text(text)


def make(*results: Result, text: str = "x", by_rule: bool = False) -> None:
    with making(results, KnownDigests(), by_rule):
        for one in results:
            write(one, text)


def stale(*results: Result) -> dict[str, str]:
    return {path.parent.name: why for path, why in stale_results(Chain(*results)).items()}


def test_what_was_made_is_current_whatever_the_times() -> None:
    first = data()
    second = model(first)
    assert stale(first, second) == {"d": "not made yet", "m": "not made yet"}
    make(first)
    make(second)
    for path in Path().rglob("*"):
        os.utime(path, (1, 1) if path.name == "weights" else None)
    assert stale(first, second) == {}


def test_settings_files_folders_and_upstream_decide() -> None:
    first = data()
    second = model(first)
    make(first)
    make(second)
    assert stale(data(2), second) == {"d": "made with other settings, code or packages"}
    assert stale(first, model(first, 2)) == {"m": "made with other settings, code or packages"}
    assert model(first, 2).differences(second.earlier_record() or {}) == ["settings lr"]
    weights = Path("m/weights")
    weights.write_text("y")  # of the same size
    assert stale(first, second) == {"m": "weights was changed"}
    weights.unlink()
    assert stale(first, second) == {"m": "weights is missing"}
    weights.write_text("x")
    (Path("d/images") / "one").write_text("y")
    assert stale(first, second) == {"d": "images was changed"}
    make(first, text="z")
    assert stale(first, second) == {"m": "made from another d"}
    make(second)
    assert stale(first, second) == {}
    other = Result("train", "m", second.done, second.settings_and_code, (first, data()), second.files)
    assert stale(first, other) == {}, "the same result twice"
    make(model(first, name="other"))
    more = Result(
        "train", "m", second.done, second.settings_and_code, (first, model(first, name="other")), second.files
    )
    assert stale(first, more) == {"m": "made from another other"}


def test_secrets_are_not_recorded() -> None:
    """What is compared is a digest; what people read is masked, and no difference by itself."""
    first = data("https://me:a-password@host/weights")
    make(first)
    assert stale(first) == {} and "a-password" not in first.decided_by_file.read_text() + first.done.read_text()
    assert first.differences(first.earlier_record() or {}) == []


def test_what_was_never_read_here_counts_by_its_size() -> None:
    """A copy of results is not read through at each plan; `verify` and who needs a file read it."""
    first = data()
    make(first)
    Path(".decides/digests.sqlite").unlink()
    Path("d/list").write_text("y")
    assert stale(first) == {}
    Path("d/list").write_text("longer")
    assert stale(first) == {"d": "list was changed"}


def test_equal_bytes_upstream_leave_a_result_current() -> None:
    first = data()
    second = model(first)
    make(first)
    make(second)
    make(data(2))
    assert stale(data(2), second) == {}
    second.done.unlink()  # as Snakemake does before a job
    assert are_current([second], KnownDigests()) and second.done.is_file()
    make(data(2), text="y")
    assert not are_current([second], KnownDigests())


def test_a_rule_deletes_what_was_there_and_a_hand_keeps_it() -> None:
    first = data()
    make(first)
    with pytest.raises(RuntimeError), making([first], KnownDigests(), by_rule=False):
        assert not first.done.exists(), "who looks meanwhile must not take the old result for the new one"
        raise RuntimeError
    assert stale(first) == {}, "nothing was replaced"
    with pytest.raises(RuntimeError), making([first], KnownDigests(), by_rule=False):
        write(first, "y")
        raise RuntimeError
    assert stale(first) == {"d": "not made yet"}
    make(first)
    with pytest.raises(RuntimeError), making([first], KnownDigests(), by_rule=True):
        raise RuntimeError
    assert not Path("d/list").exists() and stale(first) == {"d": "not made yet"}


def test_what_is_read_must_be_as_it_was_made() -> None:
    first = data()
    make(first)
    (Path("d/images") / "one").write_text("y")
    pictures = Result("pack_dataset", "p", Path("p/done.json"), lambda: ({}, CODE), (first,), (Path("p/arrays"),))
    with pytest.raises(InputError, match=r"d/images: was changed after build made it.*Delete d/done\.json"):
        make(pictures)


@pytest.mark.parametrize("by_rule", [True, False])
def test_a_step_that_leaves_nothing_is_no_success(by_rule: bool) -> None:
    """A rule says so; by hand, reports are made of what there is, and are not current."""
    refused = pytest.raises(InputError, match="d/list is missing, although the step ended")
    with refused if by_rule else nullcontext(), making([data()], KnownDigests(), by_rule):
        pass
    assert not Path("d/done.json").exists()


def test_one_command_that_makes_several_results_records_each_from_the_other() -> None:
    first = data()
    second = model(first)
    make(first, second)
    assert stale(first, second) == {}
    again = data()
    with making([second], KnownDigests(), False, refreshed=[again]):
        write(again, "new")
        write(second)
    assert stale(first, second) == {}


def test_snakemake_is_told_by_times() -> None:
    def newer(result: Result) -> bool:
        return decides_file(result).stat().st_mtime > result.done.stat().st_mtime

    first = data()
    second = model(first)
    make(first)
    make(second)
    set_plan_times(Chain(first, second))
    assert not newer(first) and not newer(second)
    assert first.done.stat().st_mtime < second.done.stat().st_mtime
    seen = decides_file(second).read_text()
    assert set_plan_times(Chain(first, model(first, 2)))[1:] == ["  settings lr: 1 result"]
    assert newer(second) and not newer(first)
    set_plan_times(Chain(first, second))
    assert not newer(second) and decides_file(second).read_text() == seen, "an edit that is taken back"
    # The same state again is no state that Snakemake has seen: it takes equal bytes for no change.
    states = set()
    for _ in range(2):
        set_plan_times(Chain(first, model(first, 2)))
        states.add(decides_file(second).read_text())
        set_plan_times(Chain(first, second))
    assert len(states) == 2
    # Nor in two plans one after the other: a job may have ended, and Snakemake have recorded its inputs, in between.
    for _ in range(2):
        set_plan_times(Chain(first, model(first, 2)))
        states.add(decides_file(second).read_text())
    assert len(states) == 4
    os.utime(second.done)  # copied later than the plan
    set_plan_times(Chain(first, model(first, 2)))
    os.utime(second.done, (4e9, 4e9))
    set_plan_times(Chain(first, model(first, 2)))
    assert newer(second)


def test_other_records_of_the_same_size_have_other_times() -> None:
    """DVC takes a file for the one that it recorded if time, size and inode are equal, and inodes are used again."""
    first = data()
    make(first)
    seen = set()
    for number in range(20):
        second = model(first, number % 10)
        make(second, text=str(number))
        set_plan_times(Chain(first, second))
        about = second.done.stat()
        seen.add((about.st_size, about.st_mtime))
        assert first.done.stat().st_mtime < about.st_mtime < 1_000_000_003
    assert len(seen) == 20 and len({size for size, _ in seen}) < 20
    time = second.done.stat().st_mtime_ns
    set_plan_times(Chain(first, second))
    assert second.done.stat().st_mtime_ns == time


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"decided_by": 1}', "\x00", "[" * 100_000])
def test_a_record_that_is_none_counts_as_missing(content: str) -> None:
    first = data()
    make(first)
    first.done.write_text(content)
    assert stale(first) == {"d": "not made yet"} and upstream_digests([model(first)]) == {}
