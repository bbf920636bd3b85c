"""The workflow on a machine that is unlike its authors': folders with odd names, nothing activated, no home."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from pipeline.locking.command_locks import Work, locks_of_command, tree_lock
from pipeline.locking.locks import Lock
from pipeline.study.folders import raw_roots
from pipeline.study.loading import load_study

ROOT = Path(__file__).parents[2]
FRAMES = "my {frames} here"


def run(folder: Path, *arguments: object) -> tuple[int, str]:
    """Run Snakemake by its path in a folder: no environment is activated, no code on the Python path. Return status and messages."""
    into = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    ended = subprocess.run(command(*arguments), cwd=folder, env=bare(), check=False, **into)
    return ended.returncode, ended.stdout


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-P", "-m", "snakemake", *map(str, arguments), "--cores", "1"]


def bare(**variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return kept | {"PATH": os.defpath} | variables


@pytest.fixture
def checkout(link_checkout: Callable[[Path], Path], tmp_path: Path) -> Path:
    (folder := tmp_path / "with space" / "checkout").mkdir(parents=True)
    return link_checkout(folder)


@pytest.fixture
def elsewhere(small_study: Callable[..., str], tmp_path: Path) -> Path:
    """Return a folder that holds a study and nothing else."""
    (folder := tmp_path / "else where").mkdir()
    (folder / "tiny.yaml").write_text(small_study("tiny"))
    return folder


@pytest.mark.parametrize("through", ["the working folder", "--directory"])
@pytest.mark.slow
def test_another_working_folder_plans_on_the_code_beside_the_snakefile(
    checkout: Path, elsewhere: Path, through: str
) -> None:
    snakefile, study = checkout / "Snakefile", elsewhere / "tiny.yaml"
    if through == "--directory":
        status, said = run(
            checkout.parent, "-n", "-s", "checkout/Snakefile", "--directory", elsewhere, "--configfile", study
        )
    else:
        status, said = run(elsewhere, "-n", "-s", snakefile, "--configfile", "tiny.yaml")
    assert status == 0, said
    assert "rule train_cell:" in said
    assert (elsewhere / "results/tiny").is_dir() and not (checkout / "results").exists()


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.slow
def test_paths_may_have_braces(
    link_checkout: Callable[[Path], Path],
    elsewhere: Path,
    tmp_path: Path,
    inside: bool,
    small_study: Callable[..., str],
) -> None:
    """Snakemake takes them for wildcards in its inputs, where neither code nor weights stand."""
    (folder := tmp_path / "{mine} of {two}").mkdir()
    checkout = link_checkout(folder)
    (elsewhere / "{w}.safetensors").touch()
    study = yaml.safe_load(small_study("tiny"))
    study["backbones"]["resnet"]["weights"] = {"file": str(elsewhere / "{w}.safetensors")}
    (elsewhere / "tiny.yaml").write_text(yaml.safe_dump(study))
    where = checkout if inside else elsewhere
    status, said = run(where, "-n", "-s", checkout / "Snakefile", "--configfile", elsewhere / "tiny.yaml")
    assert status == 0, said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--configfile", "tiny.yaml", "other.yaml"), "--configfile: 2 files. Give one study"),
        (
            ("--configfile", "tiny.yaml", "--sdm", "conda"),
            "Leave the option out. To use conda, create that environment from",
        ),
        ((), "no params.yaml here. Give a study with --configfile"),
    ],
)
@pytest.mark.slow
def test_what_cannot_work_is_refused_in_a_sentence(
    checkout: Path, elsewhere: Path, arguments: tuple[str, ...], message: str
) -> None:
    shutil.copy(elsewhere / "tiny.yaml", elsewhere / "other.yaml")
    status, said = run(elsewhere, "-n", "-s", checkout / "Snakefile", *arguments)
    assert status and message in said and "Traceback" not in said
    assert not (elsewhere / "results").exists()


def test_lint_is_content_though_rules_have_no_environment_of_their_own(checkout: Path, elsewhere: Path) -> None:
    status, said = run(checkout, "--lint", "--configfile", elsewhere / "tiny.yaml")
    assert status == 0, said
    assert not any("conda" in path.read_text() for path in (ROOT / "pipeline/rules").glob("*.smk"))


@pytest.mark.slow
def test_jobs_take_the_interpreter_and_the_code_of_snakemake_in_folders_of_any_name(
    checkout: Path, elsewhere: Path, small_study: Callable[..., str]
) -> None:
    generator = np.random.default_rng(0)
    for name in ("a_0.png", "a_1.png", "a_2.png", "b_0.png", "b_1.png"):
        for kind, values in (("images", (64, 80, 3)), ("masks", (64, 80))):
            (elsewhere / FRAMES / kind).mkdir(parents=True, exist_ok=True)
            pixels = generator.integers(0, 2, values).astype(np.uint8)
            Image.fromarray(pixels).save(elsewhere / FRAMES / kind / name)
    study = yaml.safe_load(small_study("tiny", datasets=["mine"], architectures=["single_segmentation"]))
    del study["raw"]
    plain = {"root": FRAMES, "classes": ["background", "tool"]}
    study |= {"datasets": {"mine": {"plain": plain, "split": "by_sequence", "test": ["b"]}}}
    study["training"] = {"schedules": {"mine": {"epochs": 1, "learning_rate": 0.001}}}
    (elsewhere / "tiny.yaml").write_text(yaml.safe_dump(study))
    (checkout / "pipeline").unlink()
    shutil.copytree(ROOT / "pipeline", checkout / "pipeline")
    main = checkout / "pipeline/cli/__main__.py"
    main.write_text(main.read_text().replace("sys.exit(", "print(__file__, sys.executable)\nsys.exit("))
    status, said = run(
        elsewhere, "data/datasets/mine.doctor.done.json", "-s", checkout / "Snakefile", "--configfile", "tiny.yaml"
    )
    assert status == 0, said
    log = (elsewhere / "results/tiny/logs/check_sources/mine.log").read_text()
    assert log.splitlines()[0] == f"{main} {Path(sys.executable).parent / 'python'}"


@pytest.mark.slow
def test_a_second_snakemake_on_the_same_files_ends_at_once_and_the_first_goes_on(
    checkout: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkout)
    study = load_study(elsewhere / "tiny.yaml")
    wanted = ("data/raw/tiny/esd.done.json", "--configfile", elsewhere / "tiny.yaml")
    # While this process holds the step's own lock, the job waits, and with it the first Snakemake.
    with locks_of_command(study, "here", Work("holds the tree", [Lock(tree_lock(raw_roots(study)["esd"]))])):
        first = subprocess.Popen(command(*wanted), cwd=checkout, env=bare(), stderr=subprocess.DEVNULL)
        log = checkout / "results/tiny/logs/generate_raw/esd.log"
        while first.poll() is None and not (log.exists() and "waiting for process" in log.read_text()):
            time.sleep(0.05)
        status, said = run(checkout, *wanted)
    assert status and "LockException" in said
    assert first.wait() == 0


def make(folder: Path, *arguments: str, **variables: str) -> str:
    """Run make in a folder that has our Makefile, as from a shell: not as a part of the make that runs these tests."""
    ours = ("XDG_CACHE_HOME", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES", "CURDIR")
    environment = {name: value for name, value in bare(**variables).items() if name not in ours}
    ended = subprocess.run(
        ["make", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout.strip()


@pytest.fixture
def makefile(tmp_path: Path) -> Path:
    (folder := tmp_path / "with space").mkdir()
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    return folder


def test_make_installs_in_a_folder_with_spaces(makefile: Path) -> None:
    programs = makefile / ".venv/bin"
    programs.mkdir(parents=True)
    for name in ("python", "uv"):
        (programs / name).write_text(f'#!/bin/sh\necho {name} "$2"\n')
        (programs / name).chmod(0o755)
    said = make(makefile, "setup", f"PYTHON={programs / 'python'}", HOME=str(makefile))
    assert [line for line in said.splitlines() if line.startswith("uv")] == ["uv sync", "uv install"]


def test_make_puts_caches_into_the_environment_where_the_home_takes_no_files(makefile: Path) -> None:
    (makefile / "show.mk").write_text('include Makefile\nshow:\n\t@echo "$$XDG_CACHE_HOME"\n')
    (makefile / "home").touch()
    assert make(makefile, "-f", "show.mk", "show", HOME=str(makefile / "home")) == f"{makefile}/.venv/cache"
    assert make(makefile, "-f", "show.mk", "show", HOME=str(makefile)) == ""
