"""What the system refuses: the file, the reason and what to do, and nothing about disks where it is not about one."""

from __future__ import annotations

import errno
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from corruptions.system_errors import SHARED_MEMORY, explained, named
from corruptions.workers import ordered_results

ROOT = Path(__file__).parents[2]
OF_DISKS = {"ENOSPC", "EDQUOT", "EROFS", "EIO"}
OF_PATHS = {"EACCES", "EPERM", "EFBIG", "ENAMETOOLONG", "EMFILE", "ENFILE", "ENOENT", "ENOTDIR", "EISDIR", "EEXIST"}
OF_PATHS |= {"ENOTEMPTY", "EBUSY", "ELOOP", "ESTALE", "ENODEV", "ENXIO", "ENOTCONN", "ETIMEDOUT"}


def error_of(name: str, path: str | None = "results/x.png") -> OSError:
    """As the system raises it."""
    number = getattr(errno, name)
    return OSError(number, os.strerror(number), path) if path else OSError(number, os.strerror(number))


@pytest.mark.parametrize("name", sorted(OF_DISKS | OF_PATHS))
def test_each_names_the_file_the_reason_and_what_to_do(name: str) -> None:
    said = explained(error_of(name), missing="Make it.")
    assert said.startswith("results/x.png: ") and said.endswith((".", ")."))
    assert ("disk" in said) == (name in OF_DISKS)
    if name != "ENOENT":
        assert f"({os.strerror(getattr(errno, name))}). " in said, "the system's words too: people search for them"
        assert len(said.split("). ", 1)[1]) > 10, "what to do"


def test_what_is_missing_is_said_with_the_advice_of_the_command() -> None:
    assert explained(error_of("ENOENT"), missing="Make it.") == "results/x.png: missing. Make it."
    assert explained(error_of("ENOENT")) == "results/x.png: missing."


@pytest.mark.parametrize(
    "error", [error_of("EINVAL", None), OSError("decoder error"), TimeoutError(), error_of("EINVAL")]
)
def test_others_are_told_as_they_are(error: OSError) -> None:
    said = explained(error)
    assert "disk" not in said and said.endswith(".") and len(said) > 5
    assert (error.strerror or str(error) or type(error).__name__) in said


def test_words_of_whoever_raised_it_go_before_a_number() -> None:
    assert explained(OSError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")) == (
        "No usable temporary directory found in ['/tmp']."
    )


def test_no_room_for_more_files_is_not_no_room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    error = error_of("ENOSPC", str(tmp_path / "not/there/yet.png"))
    assert "more files" not in explained(error)
    there = os.statvfs(tmp_path)
    fields = list(there[:10])
    fields[4], fields[5], fields[7] = 1000, 1000, 0  # f_bavail, f_files, f_favail
    monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result(fields))
    assert "cannot hold more files" in explained(error) and "df -i" in explained(error)


def test_what_is_written_is_named(tmp_path: Path) -> None:
    path, unfinished = tmp_path / "a", tmp_path / ".a.partial"
    for raised, found in (
        (error_of("ENOSPC", None), str(path)),
        (error_of("EROFS", str(unfinished)), str(path)),
        (error_of("EFBIG", str(unfinished / "b/c")), str(path / "b/c")),
        (error_of("EACCES", "/elsewhere"), "/elsewhere"),
        (error_of("EPIPE", None), None),  # a reader that went, while the block printed
    ):
        with pytest.raises(OSError) as caught, named(path, unfinished):
            raise raised
        assert caught.value is raised and raised.filename == found
        assert pickle.loads(pickle.dumps(raised)).filename == found, "workers send it to the process that says it"


@pytest.mark.parametrize("name", ["ENOSPC", "EACCES", "ENOENT"])
def test_shared_memory_is_told_from_the_folder_of_results(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    import multiprocessing.synchronize

    def refuse(*_: object, **__: object) -> None:
        raise error_of(name, None)

    monkeypatch.setattr(multiprocessing.synchronize.SemLock, "__init__", refuse)
    with pytest.raises(OSError) as caught:
        list(ordered_results(abs, [-1, -2], workers=2))
    said = explained(caught.value)
    assert said.startswith(f"{SHARED_MEMORY}: ") and "remount" in said and "--shm-size" in said and "--workers" in said
    assert "disk" not in said


FULL = "its disk is full (No space left on device). Free some space, and run the same command again."


@pytest.mark.parametrize("module", ["corruptions.command.cli", "pipeline.cli"])
@pytest.mark.parametrize(
    ("shell", "status", "said"),
    [
        ("set -o pipefail; '{python}' -u -m {module} list | true", 141, ""),
        ("'{python}' -m {module} list > /dev/full", 1, f"list: standard output: {FULL}"),
    ],
)
def test_output_that_nobody_takes(module: str, shell: str, status: int, said: str) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    command = shell.format(python=sys.executable, module=module)
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    assert done.stderr.strip() == (
        f"{'endoarss' if module == 'pipeline.cli' else 'corruptions'} {said}" if said else ""
    )
